import { play } from '../../language/index.js'

export const scenario = play(`
scenario lifetime/a-mapping-ends-with-its-process
claim A lease that only a mapping keeps ends when its owner is killed or executes another program.
rules L7 P6
file f
file g
process one alice
process two alice
process breaker bob

one:      fd = open f rdonly
one:      A = lease fd exclusive read
one:      m = map fd
one:      close fd
two:      fd = open g rdonly
two:      B = lease fd exclusive read
two:      m = map fd
two:      close fd
breaker:  truncate f 0 -> ETXTBSY
two:      kill one SIGKILL
breaker:  truncate f 0
breaker:  truncate g 0 -> ETXTBSY
two:      exec
lease B none
breaker:  truncate g 0
`)
