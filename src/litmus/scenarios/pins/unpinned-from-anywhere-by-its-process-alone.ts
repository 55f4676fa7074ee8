import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/unpinned-from-anywhere-by-its-process-alone
claim A process pin is ended through any file of the mount, but only by its process.
rules P6
file f
file g
process holder alice
process friend alice

holder:  fd = open f rdonly
holder:  A = lease fd exclusive read
holder:  P = pin fd A
holder:  c = context
holder:  send fd to friend as fd
friend:  unpin fd P -> ENOENT
holder:  unpin c P -> ENOENT
lease A pins 1
holder:  h = open g rdonly
holder:  unpin h P
lease A active pins 0
`)
