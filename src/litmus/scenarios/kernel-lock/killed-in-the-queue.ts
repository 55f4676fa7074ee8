import { play } from '../../language/index.js'

export const scenario = play(`
scenario kernel-lock/killed-in-the-queue
claim A process that is killed while its write waits in the kernel for a truncate dies when that is over, and has written nothing.
rules B7
break-time 10000
file f
process holder alice
process breaker bob
process victim bob
process friend bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
victim:   g = open f rdwr
breaker:  t = truncate f 4096 -> waits
victim:   w = write g 8000 10 -> waits
friend:   kill victim SIGKILL
alive victim
w still waits
holder:   release fd A
t -> ok
w -> killed SIGKILL
dead victim
holder:   read fd 0 9000 -> ok 4096 data
`)
