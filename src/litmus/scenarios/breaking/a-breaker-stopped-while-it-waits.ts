import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/a-breaker-stopped-while-it-waits
claim SIGSTOP ends the wait of a breaker too: going on, it sees EINTR, and the file is whole.
rules B7
break-time 10000
file f
process holder alice
process breaker bob
process friend bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
breaker:  t = truncate f 0 -> waits
friend:   kill breaker SIGSTOP
holder:   release fd A
friend:   kill breaker SIGCONT
t -> EINTR
holder:   read fd 0 8192 -> ok 8192 data
`)
