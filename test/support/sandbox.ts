/**
 * A place for a test to mount things: a mount namespace of its own with its own /run and a fresh ext4 image as
 * working directory, held open by one process. Commands are entered into it from outside. The test process
 * stays outside, so it never touches a mount and cannot be stopped by one.
 *
 * A test that passes must have left nothing: no Holdfast mount, no process, no file held open (the ext4 image
 * must unmount). Otherwise it fails in `dispose`, which then cleans up by force: it ends the processes of this
 * namespace by their pids and aborts connections that hang.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Agent } from './agent.js'
import { eventually, eventuallyTrue } from './eventually.js'
import { statusMounts } from './listing.js'
import { PLAIN_ENVIRONMENT } from './place.js'
import { HOLDFAST } from './programs.js'

const COMMAND_TIMEOUT_MS = 30_000
/** "within a second", with as much again for a loaded machine of two cores. */
export const SOON_MS = 2_000

export { PLAIN_ENVIRONMENT }

export interface Result {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  readonly durationMs: number
}

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string | Buffer
  readonly timeoutMs?: number
}

export interface MountLine {
  readonly device: string
  readonly root: string
  readonly target: string
  readonly options: string
  readonly type: string
  readonly source: string
}

export interface ProcessLine {
  readonly pid: number
  readonly parent: number
  readonly state: string
  readonly command: string
}

/** A command that runs in a sandbox while the test goes on. `pid` is that of the command itself. */
export class Running {
  readonly argv: readonly string[]
  readonly #child: ChildProcess
  readonly pid: number
  /** After the last process that has its output has closed it. */
  readonly ended: Promise<Result>
  stdout = ''
  stderr = ''
  result: Result | undefined

  constructor(argv: readonly string[], child: ChildProcess) {
    this.argv = argv
    this.#child = child
    if (child.pid === undefined) throw new Error(`cannot start ${argv.join(' ')}`)
    this.pid = child.pid
    const start = performance.now()
    // latin1 keeps every byte apart, whatever a program prints.
    child.stdout?.on('data', (bytes: Buffer) => {
      this.stdout += bytes.toString('latin1')
    })
    child.stderr?.on('data', (bytes: Buffer) => {
      this.stderr += bytes.toString('latin1')
    })
    child.stdin?.on('error', () => {
      // The command ended without reading what was typed; its result says the rest.
    })
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        const { stdout, stderr } = this
        this.result = { code, signal, stdout, stderr, durationMs: performance.now() - start }
        resolve(this.result)
      })
    })
  }

  /** Ends when standard output contains the text, fails when the command ends without. */
  async says(text: string, timeoutMs = 10_000): Promise<void> {
    await eventually(
      `${this.argv.join(' ')} prints ${JSON.stringify(text)}`,
      (saw) => {
        saw({ stdout: this.stdout.slice(-2000), stderr: this.stderr.slice(-2000), result: this.result?.code })
        if (this.stdout.includes(text)) return true
        if (this.result !== undefined) {
          throw new Error(`${this.argv.join(' ')} ended: ${JSON.stringify(this.result)}, without ${text}`)
        }
        return undefined
      },
      timeoutMs,
    )
  }

  type(text: string): void {
    this.#child.stdin?.write(text)
  }

  closeInput(): void {
    this.#child.stdin?.end()
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name)
  }

  /** Ends the command and what it started in its own session. */
  async kill(): Promise<Result> {
    for (const target of [-this.pid, this.pid]) {
      try {
        process.kill(target, 'SIGKILL')
      } catch (error) {
        if (!isNoSuchProcess(error)) throw error
      }
    }
    return await this.ended
  }
}

export class Sandbox {
  /** The ext4 file system that tests work in; every command starts here. */
  readonly work: string
  /** Outside the image: sockets of agents, and files that no test mounts anything over. */
  readonly outside: string
  readonly transcript: string[] = []
  readonly #directory: string
  readonly #holder: ChildProcess
  readonly #holderPid: number
  readonly #running = new Set<Running>()
  readonly #mounted: string[] = []
  readonly #agents: Agent[] = []

  private constructor(directory: string, holder: ChildProcess, holderPid: number) {
    this.#directory = directory
    this.#holder = holder
    this.#holderPid = holderPid
    this.work = path.join(directory, 'work')
    this.outside = path.join(directory, 'outside')
  }

  static async create(): Promise<Sandbox> {
    const directory = mkdtempSync(path.join(tmpdir(), 'hf-'))
    // Ordinary users must be able to come here too.
    chmodSync(directory, 0o755)
    mkdirSync(path.join(directory, 'work'))
    mkdirSync(path.join(directory, 'outside'))
    const script = [
      'set -e',
      'cd "$1"',
      // A Holdfast of the machine may be mounted at this moment, and this namespace was born with a copy of that.
      'awk \'$3 ~ /^fuse.holdfast/ { print $2 }\' /proc/mounts | while read -r m; do umount -l "$(printf %b "$m")"; done',
      'mount -t tmpfs tmpfs /run',
      'mountpoint -q /sys/fs/fuse/connections || mount -t fusectl fusectl /sys/fs/fuse/connections',
      'truncate -s 96M image',
      'mkfs.ext4 -q -F -m 0 image',
      'mount -o loop image work',
      'rmdir work/lost+found',
      // Reading its own standard input, the holder ends with the test process, whatever happens to that.
      'cd /; echo ready; exec cat',
    ].join('\n')
    const argv = ['-m', '--propagation', 'private', 'sh', '-c', script, 'sh', directory]
    const holder = spawn('unshare', argv, { stdio: ['pipe', 'pipe', 'pipe'], env: PLAIN_ENVIRONMENT })
    let output = ''
    holder.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString()
    })
    holder.stderr.on('data', (bytes: Buffer) => {
      output += bytes.toString()
    })
    await eventuallyTrue(
      'the sandbox is ready',
      (saw) => {
        saw(output)
        if (holder.exitCode !== null) throw new Error(`no sandbox: ${output}`)
        return output.endsWith('ready\n')
      },
      20_000,
    )
    if (holder.pid === undefined) throw new Error('the holder has no pid')
    return new Sandbox(directory, holder, holder.pid)
  }

  /** Starts a command (no shell) in the sandbox and does not wait for it. */
  start(argv: readonly string[], options: CommandOptions & { stdin?: 'pipe' | 'ignore' } = {}): Running {
    const enter = ['-t', String(this.#holderPid), '-m', `--wdns=${options.cwd ?? this.work}`, '--', ...argv]
    const child = spawn('nsenter', enter, {
      // A session of its own: it and its children can be ended without listing them.
      detached: true,
      stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
      env: options.env ?? PLAIN_ENVIRONMENT,
    })
    const running = new Running(argv, child)
    this.#running.add(running)
    void running.ended.then((result) => {
      this.#running.delete(running)
      const streams = [result.stdout, result.stderr].map((text) => JSON.stringify(text.slice(0, 600)))
      this.transcript.push(`${argv.join(' ')}\n    = ${result.code ?? result.signal} ${streams.join(' ')}`)
    })
    return running
  }

  /** Runs a command to its end. Fails if it takes too long, or if something keeps its output open. */
  async exec(argv: readonly string[], options: CommandOptions = {}): Promise<Result> {
    const running = this.start(argv, { ...options, stdin: options.input === undefined ? 'ignore' : 'pipe' })
    if (options.input !== undefined) {
      running.type(options.input.toString('latin1'))
      running.closeInput()
    }
    const timeoutMs = options.timeoutMs ?? COMMAND_TIMEOUT_MS
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), timeoutMs)
    })
    const result = await Promise.race([running.ended, late])
    clearTimeout(timer)
    if (result !== undefined) return result
    const state = JSON.stringify({
      stdout: running.stdout,
      stderr: running.stderr,
      processes: this.processes(),
    })
    throw new Error(`${argv.join(' ')} has not ended after ${timeoutMs} ms: ${state}`)
  }

  async bash(script: string, options: CommandOptions & { args?: readonly string[] } = {}): Promise<Result> {
    return await this.exec(['bash', '-c', script, 'bash', ...(options.args ?? [])], options)
  }

  /** Runs a script that has to succeed; its output. */
  async must(script: string, options: CommandOptions & { args?: readonly string[] } = {}): Promise<string> {
    const result = await this.bash(script, options)
    if (result.code === 0) return result.stdout
    throw new Error(`${script}: ${result.code ?? result.signal}: ${result.stderr}${result.stdout}`)
  }

  async holdfast(...args: string[]): Promise<Result> {
    return await this.exec([HOLDFAST, ...args])
  }

  /** A file in the working directory, `size` bytes of the letter A; its absolute path. */
  async file(name: string, size = 65_536): Promise<string> {
    const target = path.join(this.work, name)
    await this.must('mkdir -p "$(dirname "$1")" && head -c "$2" /dev/zero | tr "\\0" A > "$1"', {
      args: [target, String(size)],
    })
    return target
  }

  /** `holdfast mount`; `dispose` unmounts it and fails if that fails. */
  async mount(directory: string, ...more: string[]): Promise<string> {
    const result = await this.exec([HOLDFAST, 'mount', directory, ...more])
    if (result.code !== 0) throw new Error(`holdfast mount failed: ${JSON.stringify(result)}`)
    const mountpoint = more.find((word) => word.startsWith('/')) ?? directory
    this.#mounted.push(mountpoint)
    return mountpoint
  }

  async umount(mountpoint: string): Promise<Result> {
    const index = this.#mounted.lastIndexOf(mountpoint)
    const result = await this.exec([HOLDFAST, 'umount', mountpoint])
    if (result.code === 0 && index >= 0) this.#mounted.splice(index, 1)
    return result
  }

  /** `holdfast run FILES -- COMMAND` in the background, once COMMAND (a shell) says that it runs. */
  async run(
    files: readonly string[],
    command = 'echo started; exec sleep 1000',
    options: CommandOptions & { stdin?: 'pipe' | 'ignore'; shell?: 'sh' | 'bash' } = {},
  ): Promise<Running> {
    const shell = options.shell ?? 'sh'
    const running = this.start([HOLDFAST, 'run', ...files, '--', shell, '-c', command], options)
    await running.says('started', 15_000)
    return running
  }

  /** A process that takes orders (test/programs/leasectl.c). */
  async agent(name: string, options: CommandOptions = {}): Promise<Agent> {
    const agent = await Agent.start(this, name, options)
    this.#agents.push(agent)
    return agent
  }

  /** Talks to a leasectl that was started by other means: as the COMMAND of `holdfast run`, for example. */
  async attach(name: string): Promise<Agent> {
    const agent = await Agent.connect(this, name)
    this.#agents.push(agent)
    return agent
  }

  adopt(agent: Agent): void {
    this.#agents.push(agent)
  }

  /** Every mount of the sandbox. Read from outside: looking at a mount table touches no mount. */
  mounts(): MountLine[] {
    return readFileSync(`/proc/${this.#holderPid}/mountinfo`, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [before, after] = line.split(' - ')
        const fields = (before ?? '').split(' ')
        const [type, source] = (after ?? '').split(' ')
        return {
          device: fields[2] ?? '',
          root: unescapeOctal(fields[3] ?? ''),
          target: unescapeOctal(fields[4] ?? ''),
          options: fields[5] ?? '',
          type: type ?? '',
          source: unescapeOctal(source ?? ''),
        }
      })
  }

  /** The FUSE mounts among them. */
  fuseMounts(): MountLine[] {
    return this.mounts().filter((mount) => /^fuse($|\.|blk)/.test(mount.type))
  }

  /** The Holdfast mounts over or below the working directory: those that show data, not control directories. */
  dataMounts(): MountLine[] {
    return this.fuseMounts().filter((mount) => mount.target.startsWith(this.work))
  }

  isMounted(target: string): boolean {
    return this.fuseMounts().some((mount) => mount.target === target)
  }

  /** Every process of the sandbox except its holder. */
  processes(): ProcessLine[] {
    const namespace = readlinkSync(`/proc/${this.#holderPid}/ns/mnt`)
    const found: ProcessLine[] = []
    for (const entry of readdirSync('/proc')) {
      if (!/^\d+$/.test(entry) || Number(entry) === this.#holderPid) continue
      try {
        if (readlinkSync(`/proc/${entry}/ns/mnt`) !== namespace) continue
        const stat = readFileSync(`/proc/${entry}/stat`, 'latin1')
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        const command = readFileSync(`/proc/${entry}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()
        found.push({ pid: Number(entry), state: fields[0] ?? '', parent: Number(fields[1]), command })
      } catch (error) {
        if (!isNoSuchProcess(error)) throw error
      }
    }
    return found.filter((line) => line.state !== 'Z' && line.state !== 'X')
  }

  /**
   * The processes that serve mounts: those that neither are nor descend from a command that the test started,
   * and do not belong to its session. A daemon has left both.
   */
  daemons(): ProcessLine[] {
    const started = new Set([...this.#running].map((running) => running.pid))
    const processes = this.processes()
    const parents = new Map(processes.map((line) => [line.pid, line.parent]))
    const isStarted = (pid: number): boolean => {
      for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at)) {
        if (started.has(at) || started.has(sessionOf(at))) return true
      }
      return false
    }
    return processes.filter((line) => !isStarted(line.pid))
  }

  /** The engines, as `status` tells them, and whatever else of Holdfast runs beside them. */
  async helpers(): Promise<{ engines: ProcessLine[]; others: ProcessLine[] }> {
    const rows = await statusMounts(this)
    const pids = rows.map((row) => (row.engine as { pid: number }).pid)
    const daemons = this.daemons()
    const engines = daemons.filter((line) => pids.includes(line.pid))
    if (engines.length === 0)
      throw new Error(`no engine of ${pids} among ${JSON.stringify(this.processes())}`)
    return { engines, others: daemons.filter((line) => !pids.includes(line.pid)) }
  }

  /** Ends every command that still runs, so that a test that failed does not spoil the next. */
  async endCommands(): Promise<void> {
    await Promise.all([...this.#running].map((running) => running.kill()))
  }

  /** Waits until no Holdfast mount and no daemon is left; how long it took. */
  async allGone(timeoutMs = SOON_MS): Promise<number> {
    return await eventuallyTrue(
      'every Holdfast mount and every Holdfast process is gone',
      (saw) => {
        const left = [...this.fuseMounts().map((mount) => mount.target), ...this.daemons()]
        saw(left)
        return left.length === 0
      },
      timeoutMs,
    )
  }

  /** Everything that is left behind, in words. Empty is as it should be. */
  async #leftovers(): Promise<string[]> {
    const left: string[] = []
    for (const agent of this.#agents) agent.disconnect()
    for (const running of [...this.#running]) {
      // A task that waits for a daemon does not die; the connection is aborted below.
      const killed = running.kill().then(() => true)
      const dead = await Promise.race([killed, new Promise((resolve) => setTimeout(resolve, 3_000, false))])
      if (dead === false) left.push(`does not die, or its output stays open: ${running.argv.join(' ')}`)
    }
    for (const mountpoint of [...this.#mounted].reverse()) {
      const retry = async (): Promise<boolean> => (await this.umount(mountpoint)).code === 0
      await eventuallyTrue(`holdfast umount ${mountpoint}`, retry, SOON_MS).catch((error: Error) => {
        left.push(`${error.message}; ${this.transcript.at(-1)}`)
      })
    }
    await this.allGone(SOON_MS + 1_000).catch((error: Error) => left.push(error.message))
    for (const line of this.processes()) left.push(`process ${JSON.stringify(line)}`)
    const unmount = ['nsenter', '-t', String(this.#holderPid), '-m', '--', 'umount', this.work]
    await eventuallyTrue(
      'the working file system can be unmounted, so nothing holds a file',
      async (saw) => {
        const { code, stderr } = await plain(unmount)
        saw(stderr)
        return code === 0
      },
      SOON_MS,
    ).catch((error: Error) => left.push(error.message))
    return left
  }

  /** Ends the connection of a mount as an administrator can: every request on it fails from then on. */
  abort(mount: MountLine): void {
    const number = mount.device.split(':')[1]
    writeFileSync(`/proc/${this.#holderPid}/root/sys/fs/fuse/connections/${number}/abort`, '1')
  }

  async #force(): Promise<void> {
    for (const mount of this.fuseMounts()) {
      try {
        this.abort(mount)
      } catch {
        // It ended by itself meanwhile, or fusectl is not there; killing its daemon has the same effect.
      }
    }
    for (const line of this.processes()) {
      try {
        process.kill(line.pid, 'SIGKILL')
      } catch (error) {
        if (!isNoSuchProcess(error)) throw error
      }
    }
    await Promise.all([...this.#running].map((running) => running.kill()))
  }

  /**
   * Ends the sandbox.
   * @param failure the test's own failure, if it failed: then what is left is only reported with it.
   */
  async dispose(failure?: unknown): Promise<void> {
    const left = await this.#leftovers()
    if (left.length > 0) await this.#force()
    this.#holder.stdin?.end()
    await new Promise((resolve) => {
      if (this.#holder.exitCode !== null) resolve(undefined)
      else this.#holder.once('exit', resolve)
    })
    rmSync(this.#directory, { recursive: true, force: true })
    if (failure === undefined && left.length === 0) return
    const story = `\n--- left behind: ${left.join('\n') || 'nothing'}\n--- commands:\n${this.transcript.join('\n')}`
    if (failure instanceof Error) {
      failure.message += story
      throw failure
    }
    throw new Error(`the test left something behind ${story}`, { cause: failure })
  }
}

/** A test body with a sandbox of its own: `test('claim', inSandbox(async (box) => { ... }))`. */
export function inSandbox(body: (box: Sandbox) => Promise<void>): () => Promise<void> {
  return async () => {
    const box = await Sandbox.create()
    try {
      await body(box)
    } catch (failure) {
      await box.dispose(failure)
      throw failure
    }
    await box.dispose()
  }
}

function isNoSuchProcess(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ESRCH' || code === 'ENOENT' || code === 'EACCES'
}

function sessionOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3])
  } catch (error) {
    if (isNoSuchProcess(error)) return 0
    throw error
  }
}

/** mountinfo writes blanks, newlines and backslashes as octal escapes. */
function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_all, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
}

async function plain(argv: readonly string[]): Promise<{ code: number | null; stderr: string }> {
  const [command = '', ...args] = argv
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: PLAIN_ENVIRONMENT })
  let stderr = ''
  child.stderr.on('data', (bytes: Buffer) => {
    stderr += bytes.toString()
  })
  return await new Promise((resolve) => child.once('close', (code) => resolve({ code, stderr })))
}
