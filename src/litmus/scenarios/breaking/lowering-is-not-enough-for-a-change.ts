import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/lowering-is-not-enough-for-a-change
claim A layout change goes on waiting when a write lease is merely lowered to read.
rules B3
break-time 10000
file f
process writer alice
process breaker bob

writer:   w = open f rdwr
writer:   W = lease w normal write
breaker:  t = truncate f 0 -> waits
writer:   change w W normal read
t still waits
lease W breaking normal read
writer:   release w W
t -> ok
`)
