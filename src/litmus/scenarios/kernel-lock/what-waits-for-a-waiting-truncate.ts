import { play } from '../../language/index.js'

export const scenario = play(`
scenario kernel-lock/what-waits-for-a-waiting-truncate
claim While a truncate waits for a lease, writing, allocating, truncating again, chmod, chown and unlink wait in the kernel, and go on in order.
rules B4
break-time 10000
file f
process holder alice
process breaker bob
process one bob
process two bob
process three alice
process four root
process five bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
one:      g = open f rdwr
two:      g = open f rdwr
breaker:  t = truncate f 4096 -> waits
one:      w = write g 4096 10 -> waits
two:      a = allocate g 0..6000 -> waits
three:    m = chmod f 600 -> waits
four:     o = chown f bob -> waits
five:     u = unlink f -> waits
told A break by breaker
w still waits
holder:   release fd A
t -> ok
w -> ok 10
a -> ok
m -> ok
o -> ok
u -> ok
holder:   read fd 0 8192 -> ok 6000 mixed
`)
