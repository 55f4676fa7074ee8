import { play } from '../../language/index.js'

export const scenario = play(`
scenario kernel-lock/o-trunc-blocks-nobody
claim A waiting open with O_TRUNC, other than a waiting truncate, keeps nobody from writing or chmod.
rules B4
break-time 10000
file f
process holder alice
process breaker bob
process other alice

holder:   fd = open f rdonly
holder:   A = lease fd normal read
other:    g = open f rdwr
breaker:  t = open f rdwr trunc -> waits
other:    write g 0 10 -> ok 10
other:    chmod f 640
other:    rename f
holder:   release fd A
t -> ok
`)
