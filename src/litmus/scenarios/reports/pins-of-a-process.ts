import { play } from '../../language/index.js'

export const scenario = play(`
scenario reports/pins-of-a-process
claim The pins of a process are listed by context, with the files of each, and then its own.
rules R2 P2
file f
file g
process holder alice
process device alice

holder:  a = open f rdonly
holder:  A = lease a exclusive read
holder:  b = open g rdonly
holder:  B = lease b exclusive read
holder:  c = context
holder:  P = pin c A
holder:  Q = pin c B
holder:  R = pin b B
holder:  pins holder -> ok c: f g; g
holder:  pins device -> ENOENT
holder:  send c to device as d
holder:  pins device -> ok d: f g
holder:  close c
holder:  pins holder -> ok g
`)
