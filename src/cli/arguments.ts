/**
 * The arguments as the bytes they are. Node decodes argv as UTF-8 and loses what is not, so they are read
 * from /proc and handed on as "byte strings": one character for each byte. Options and commands are ASCII and
 * look the same either way; a path is turned back with `pathBytes`.
 */
import { readStrings } from '../linux/processes.js'
import { CommandError } from './errors.js'

/** The arguments behind the script's own name, as byte strings. */
export function readArguments(): string[] {
  const all = readStrings('self', 'cmdline').map((bytes) => bytes.toString('latin1'))
  // Node's own options come before the script: count from the end, where everything is ours.
  const count = process.argv.length - 2
  return count === 0 ? [] : all.slice(-count)
}

export function pathBytes(argument: string): Buffer {
  if (argument === '') {
    throw new CommandError("'': No such file or directory (the name is empty: is a variable not set?)")
  }
  return Buffer.from(argument, 'latin1')
}
