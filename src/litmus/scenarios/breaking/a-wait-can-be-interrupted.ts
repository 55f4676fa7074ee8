import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/a-wait-can-be-interrupted
claim A signal ends the wait of a breaker with EINTR, the break goes on, and the file is whole.
rules B7
break-time 600
file f
process holder alice
process breaker bob
process friend bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
breaker:  t = truncate f 0 -> waits
friend:   kill breaker SIGUSR1
t -> EINTR
told A break by breaker, breaker SIGUSR1 0
lease A breaking
holder:   read fd 0 8192 -> ok 8192 data
deadline
lease A revoked
holder:   read fd 0 8192 -> ok 8192 data
`)
