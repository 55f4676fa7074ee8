import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/a-breaker-waits-for-all-holders
claim A change that meets several leases waits for the last of them; each of their owners is told.
rules B1 B2 B4
break-time 10000
file f
process one alice
process two bob
process breaker bob

one:      a = open f rdonly
one:      A = lease a normal read 0..4096
two:      b = open f rdwr
two:      B = lease b normal read 4096..
breaker:  t = truncate f 0 -> waits
told A break by breaker, B break by breaker
one:      release a A
t still waits
two:      close b
t -> ok
`)
