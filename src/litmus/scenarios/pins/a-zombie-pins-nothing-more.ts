import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/a-zombie-pins-nothing-more
claim A zombie lease is in use but not usable: its owner pins nothing more under it.
rules P5 P1
question May a process go on pinning under a lease whose descriptor it has closed?
file f
process holder alice

holder:  fd = open f rdwr
holder:  A = lease fd exclusive read
holder:  P = pin fd A 0..4096
holder:  close fd
lease A zombie
holder:  g = open f rdwr
holder:  Q = pin g A 4096..8192 -> EPERM
holder:  P = pin g A 0..4096 -> EPERM
holder:  change g A exclusive write -> ENOENT
holder:  release g A -> ENOENT
holder:  ftruncate g 0 -> EDEADLK
lease A zombie pins 1
`)
