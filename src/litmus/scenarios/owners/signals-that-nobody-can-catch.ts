import { play } from '../../language/index.js'

export const scenario = play(`
scenario owners/signals-that-nobody-can-catch
claim SIGKILL and SIGSTOP cannot be chosen.
rules L5
file f
process holder alice

holder:  fd = open f rdonly
holder:  A = lease fd normal read
holder:  own fd A add self SIGKILL 1 -> EINVAL
holder:  own fd A add self SIGSTOP 1 -> EINVAL
lease A owners holder
`)
