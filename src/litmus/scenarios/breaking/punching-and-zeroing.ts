import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/punching-and-zeroing
claim Punching a hole and zeroing a range wait for a normal lease as truncating does.
rules B1
break-time 10000
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
breaker:  g = open f rdwr
breaker:  t = punch g 0..4096 -> waits
holder:   read fd 0 4096 -> ok 4096 data
holder:   release fd A
t -> ok
holder:   read fd 0 4096 -> ok 4096 zeros
holder:   B = lease fd normal read
breaker:  u = zero g 4096..8192 -> waits
holder:   release fd B
u -> ok
holder:   read fd 0 8192 -> ok 8192 zeros
`)
