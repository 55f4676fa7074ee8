import { play } from '../../language/index.js'

export const scenario = play(`
scenario exclusive/a-normal-write-lease-lets-its-own-pass
claim Under a normal write lease its owner's changes pass, and those of others wait.
rules X5 B1
break-time 10000
file f
process writer alice
process breaker bob

writer:   fd = open f rdwr
writer:   A = lease fd normal write
writer:   ftruncate fd 6000
told nothing
breaker:  t = truncate f 4000 -> waits
writer:   close fd
t -> ok
`)
