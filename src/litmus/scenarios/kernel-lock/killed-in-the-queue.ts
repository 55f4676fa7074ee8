import { play } from '../../language/index.js'

export const scenario = play(`
scenario kernel-lock/killed-in-the-queue
claim A process that is killed while it waits in the kernel for a truncate dies when that is over at the latest, and has changed nothing.
rules B7
break-time 10000
file f
process holder alice
process breaker bob
process victim bob
process friend bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
breaker:  t = truncate f 4096 -> waits
victim:   g = open f rdwr
victim:   u = punch g 0..4096 -> waits
friend:   kill victim SIGKILL
alive victim
u still waits
holder:   release fd A
t -> ok
u -> killed SIGKILL
dead victim
holder:   read fd 0 8192 -> ok 4096 data
`)
