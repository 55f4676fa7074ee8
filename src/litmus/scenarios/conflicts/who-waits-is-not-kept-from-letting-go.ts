import { play } from '../../language/index.js'

export const scenario = play(`
scenario conflicts/who-waits-is-not-kept-from-letting-go
claim Two holders that both wait to write do not block each other: one of them can still let go.
rules L4 L6
break-time 10000
file f
process one alice
process two bob

one:  a = open f rdwr
one:  A = lease a normal read
two:  b = open f rdwr
two:  B = lease b normal read
one:  w = change a A normal write wait -> waits
told B break by one
two:  change b B normal write wait -> EAGAIN
two:  release b B
w -> ok
lease A active normal write
`)
