/**
 * The supervisor: a tiny shell that waits for the engine to end. It reads one line from a pipe that only the
 * engine holds open for writing. `done` means that the engine has tidied up itself; the end of the pipe
 * without it means that the engine was killed, and the supervisor has the dead mount removed.
 */
import { spawn } from 'node:child_process'
import { close, pipe, writeAll } from '../../linux/files.js'

const SCRIPT = `
read -r word || word=
[ "$word" = done ] && exit 0
exec "$@"
`

export interface Supervisor {
  readonly pid: number
  /** Tells it that nothing is left to tidy up. */
  dismiss(): void
}

/** @param cleanup the command that removes dead mounts. */
export function startSupervisor(cleanup: readonly string[]): Supervisor {
  const { readEnd, writeEnd } = pipe()
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'holdfast-supervisor', ...cleanup], {
    stdio: [readEnd, 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  })
  // Without a supervisor everything works but for the tidying up after a SIGKILL, which the next command does.
  child.on('error', () => {})
  child.unref()
  close(readEnd)
  return {
    pid: child.pid ?? 0,
    dismiss: () => {
      try {
        writeAll(writeEnd, Buffer.from('done\n'))
      } catch {
        // It was killed: then there is nobody to dismiss.
      }
    },
  }
}
