/** A real process beside the test: a shell that runs a script and is spoken to line by line. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

const PATIENCE_MS = 10_000

export class TestShell implements AsyncDisposable {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  /** @param script Shell code; `$1` and so on are `args`. */
  constructor(script: string, args: readonly string[] = []) {
    this.#child = spawn('/bin/sh', ['-c', script, 'sh', ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      timeout: PATIENCE_MS,
      killSignal: 'SIGKILL',
    })
    const { pid, stdout } = this.#child
    if (pid === undefined || stdout === null) throw new Error('the shell did not start')
    this.pid = pid
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
  }

  /** The next line it writes; an empty one at the end. */
  async line(): Promise<string> {
    const next = await this.#lines.next()
    return next.done === true ? '' : next.value
  }

  write(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  /** Ends it by SIGKILL and waits until it has been reaped. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }
}
