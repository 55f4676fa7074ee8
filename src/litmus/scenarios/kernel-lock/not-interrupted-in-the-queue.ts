import { play } from '../../language/index.js'

export const scenario = play(`
scenario kernel-lock/not-interrupted-in-the-queue
claim A signal does not end a wait in the kernel; it ends the wait that comes after it.
rules B7 X1
break-time 10000
file f
process holder alice
process strict alice
process breaker bob
process second bob
process friend bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read 4096..
strict:   h = open f rdonly
strict:   N = lease h normal read 0..4096
breaker:  t = truncate f 4096 -> waits
second:   u = truncate f 0 -> waits
friend:   kill second SIGUSR1
u still waits
holder:   release fd A
t -> ok
u -> EINTR
told A break by breaker, N break by second, second SIGUSR1 0
lease N breaking
`)
