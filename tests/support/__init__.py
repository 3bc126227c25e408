"""What tests share: small codecs and media, mutations of files, pages and browsers, full disks."""
