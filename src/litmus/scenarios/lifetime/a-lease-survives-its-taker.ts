import { play } from '../../language/index.js'

export const scenario = play(`
scenario lifetime/a-lease-survives-its-taker
claim A lease whose taker has died goes on as long as another process has the descriptor.
rules L7 L5
question What becomes of a lease when the process that took it dies?
file f
process taker alice
process friend alice
process breaker bob

taker:    fd = open f rdonly
taker:    A = lease fd exclusive read
taker:    send fd to friend as g
breaker:  kill taker SIGKILL -> EPERM
friend:   kill taker SIGKILL
dead taker
lease A active owners nobody
breaker:  truncate f 0 -> ETXTBSY
friend:   close g
lease A none
breaker:  truncate f 0
`)
