"""What `optimize symbols` prints: where each symbol of the paper is set."""

SYMBOLS = """\
Where each symbol of the paper is set. By a flag, where the subcommand has it:
  I, Q                    UEs and their modalities        --ues text:1,image:1,vqa:2
  f^T, f^I, f^B           accuracy maps                   --text-map, --image-map, --vqa-map
  k^T, k^I                symbols per token (2)           --k-text, --k-image, --joint-k
  l, S                    FLOP (3), tokens (2) a task     --text-flops (--flops), --image-flops, --vqa-flops
  BW                      sum bandwidth (11f), (12)       --bandwidth-hz
  sigma^2                 noise density (1)               --noise-dbm-hz
  beta^f                  weight of energy (9)            --beta with --preference fixed
  beta^d                  the same from the battery (28)  --preference dynamic
  h                       fading (1), known or not        --csi
  g                       gains (1) or ways of a file     --gains
  eqs. (3)-(8)            who pays for the encoder        --offload-cost
  o_i                     what a UE knows                 --observation, --section-iv
  n, f, alpha^lc, p^c, p  the UEs' devices (3), (8), (11) --ue-device
  n^rc, f^rc, alpha^rc    the server (5), (6)             --server-device
  training, test episodes                                 --episodes, --test-episodes
By --config FILE, and from Python, fields of optimizer.world.config.SystemConfig, a device's too:
  p, p_max                transmit power (11d)            power_min_dbm, power_max_dbm
  f, f_max                clock (11e)                     local_clock_min_hz, local_clock_max_hz
  n, n^rc, f^rc           processors (3), (5)             local_flops_per_cycle, remote_flops_per_cycle,
                                                          remote_clock_hz
  alpha^lc, alpha^rc      energy of computing (8), (6)    local_energy_coefficient,
                                                          remote_energy_coefficient
  p^c, t^dl               static power (8), download (7)  circuit_power_w, download_latency_s
  epsilon_min, t_max      limits (11b), (11g)             accuracy_min, latency_max_s
  g                       pathloss (1), TR 38.901         pathloss, carrier_hz, radius_min_m, radius_max_m
of optimizer.world.config.EpisodeConfig:
  d, T                    queue at the start, steps (14)  queue_tasks, steps
  d                       tasks that arrive               arrivals, arrival_rate, burst_steps
                          sentences in a paragraph        sentences_per_task
  h                       fading (1), and over time       fading, ue_speed_m_s, step_s
  g                       places in time (1)              mobility
  h                       how well it is known (1)        csi_error
  sigma^2                 with other cells' interference  other_cells
  B_max, E^max            battery (28), (11h)             battery_queues, battery_start_min, idle_drain
  xi_S, xi_F              end of an episode (14)          success_bonus, failure_scale
of optimizer.policies.config.MappoConfig:
  lambda, gamma, delta    (23), (15), (25)                gae_lambda, discount, clip
  c^CR, c^E               weights in the loss (27)        critic_weight, entropy_weight
                          learning rate, batch step       learning_rate, batch_steps
  p, f as actions         section IV (--section-iv)       learn_power, learn_clock
  V(o_i), heads' start                                    critic, heads
Not set:
  E_0, t_0                of (9): local execution of the same queue at f_max
  epsilon_0               of (10): the maps' local accuracy, which they are ratios to
  A                       of (2): it cancels in (4)
On the page of `optimize report`:
  I that offload, BW, p, g or gamma (1), k^T, k^I, d, beta (9)   sliders
  gamma (1), b (12), epsilon, t (4), (5), (7), E (8), QoE (10)   readings beside them
  QoE (10), E/E_0, t/t_0 (9), (11b), (11g), (11h)                table of policies
  reward (13), (14), E of (27), d by step                        curves
"""
