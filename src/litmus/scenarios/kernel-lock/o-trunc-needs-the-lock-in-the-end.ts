import { play } from '../../language/index.js'

export const scenario = play(`
scenario kernel-lock/o-trunc-needs-the-lock-in-the-end
claim Opening an empty file with O_TRUNC takes nothing away, but waits in the kernel behind a punch that waits.
rules B4
break-time 10000
file f 0 bytes
process holder alice
process breaker bob
process other alice

holder:   fd = open f rdonly
holder:   A = lease fd normal read
breaker:  g = open f rdwr
breaker:  p = punch g 0..4096 -> waits
other:    t = open f rdwr trunc -> waits
told A break by breaker
holder:   release fd A
p -> ok
t -> ok
`)
