import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/nobody-is-killed-who-is-no-owner
claim Under on-timeout=kill a process that merely has the descriptor lives on, with a revoked lease.
rules B5 L5
break-time 600
on-timeout kill
file f
process holder alice
process friend alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
holder:   send fd to friend as g
breaker:  t = truncate f 0 -> waits
deadline
t -> ok
dead holder
alive friend
lease A revoked owners nobody
friend:   poll g -> ok ERR
`)
