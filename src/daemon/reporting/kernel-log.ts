/**
 * The last resort of a daemon without a terminal: a line in the kernel's log, where dmesg and the journal show
 * it beside the messages about the mount.
 */
import * as c from '../../linux/constants.js'
import { close, open, writeAll } from '../../linux/files.js'

/** More than that is noise: the first lines say what is wrong. */
const LINES_MAX = 20
/** What /dev/kmsg takes at once. */
const LINE_LENGTH_MAX = 900
let lineCount = 0

/** Writes one line for a failure of our own. Does nothing where that is not allowed. */
export function logToKernel(what: string, error: unknown): void {
  if (lineCount++ >= LINES_MAX) return
  const why = error instanceof Error ? (error.stack ?? error.message) : String(error)
  const line = `holdfast[${process.pid}]: ${what}: ${why}`.replace(/\s+/g, ' ').slice(0, LINE_LENGTH_MAX)
  try {
    const fd = open('/dev/kmsg', c.O_WRONLY)
    writeAll(fd, Buffer.from(`${line}\n`))
    close(fd)
  } catch {
    // Not root, or a container: then there is nobody to tell.
  }
}
