import { play } from '../../language/index.js'

export const scenario = play(`
scenario levels/normal-waits-and-exclusive-fails
claim The same truncate waits for a normal lease, and fails for an exclusive one.
rules L2
break-time 10000
file f
file g
process holder alice
process breaker bob

holder:   n = open f rdonly
holder:   N = lease n normal read
holder:   e = open g rdonly
holder:   E = lease e exclusive read
breaker:  truncate g 0 -> ETXTBSY
breaker:  t = truncate f 0 -> waits
holder:   release n N
t -> ok
`)
