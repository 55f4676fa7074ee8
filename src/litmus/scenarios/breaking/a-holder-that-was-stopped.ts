import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/a-holder-that-was-stopped
claim A holder stopped by SIGSTOP is dealt with like one that does not answer.
rules B5
break-time 600
file f
process holder alice
process breaker alice

holder:   fd = open f rdonly
holder:   A = lease fd normal read
holder:   own fd A add self SIGUSR1 4
breaker:  kill holder SIGSTOP
breaker:  t = truncate f 0 -> waits
t still waits
deadline
t -> ok
told A break by breaker, A revoked
breaker:  kill holder SIGCONT
told holder SIGUSR1 4
holder:   poll fd -> ok ERR
`)
