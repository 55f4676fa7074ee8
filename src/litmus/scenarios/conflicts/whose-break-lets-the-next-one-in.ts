import { play } from '../../language/index.js'

export const scenario = play(`
scenario conflicts/whose-break-lets-the-next-one-in
claim A request that breaks what others wait behind is answered by what becomes of them.
rules L6 L4
break-time 10000
file f
process one alice
process two alice
process three alice

one:   a = open f rdwr
two:   b = open f rdwr
three: c = open f rdwr
one:   A = lease a normal read 8192..12288
two:   B = lease b normal read 4096..16384
two:   u = change b B exclusive write wait -> waits
three: w = lease c exclusive read wait 8192..16384 -> waits
one:   W = lease a normal write wait 0..12288 -> ETXTBSY
u -> EAGAIN
w -> ok
`)
