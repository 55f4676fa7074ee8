/** The test's side of test/programs/leasectl.c: processes that open, lease, fork and die on command. */
import { existsSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import path from 'node:path'
import { eventuallyTrue } from './eventually.js'
import {
  decodeLease,
  decodePin,
  encodeId,
  encodeLease,
  encodeOwner,
  encodePin,
  GETLEASE,
  INFO,
  type LeaseFields,
  type LeaseRequest,
  type OwnerRequest,
  PIN,
  type PinFields,
  RELEASE,
  SETLEASE,
  SETOWN,
  UNPIN,
} from './ioctl.js'
import { program } from './programs.js'
import type { CommandOptions, Sandbox } from './sandbox.js'

/** What SETLEASE and its like came to: an errno's name, or the structure as the kernel handed it back. */
export type Outcome<T> = { readonly errno: string } | { readonly errno: 'ok'; readonly value: T }

/** A signal as its receiver sees it (siginfo_t). */
export interface CaughtSignal {
  readonly signo: number
  readonly code: number
  readonly value: number
  readonly pid: number
  readonly uid: number
}

export class Agent {
  pid = 0
  readonly name: string
  readonly #box: Sandbox
  readonly #socket: Socket
  readonly #waiting: ((answer: string) => void)[] = []
  #buffer = ''

  private constructor(box: Sandbox, name: string, socket: Socket) {
    this.#box = box
    this.name = name
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.#buffer += bytes.toString('latin1')
      for (let end = this.#buffer.indexOf('\n'); end >= 0; end = this.#buffer.indexOf('\n')) {
        const answer = this.#buffer.slice(0, end)
        this.#buffer = this.#buffer.slice(end + 1)
        this.#waiting.shift()?.(answer)
      }
    })
    const gone = (): void => {
      for (const resolve of this.#waiting.splice(0)) resolve('gone')
    }
    socket.on('close', gone)
    socket.on('error', gone)
  }

  static async start(box: Sandbox, name: string, options: CommandOptions): Promise<Agent> {
    box.start([program('leasectl'), box.outside, name], options)
    return await Agent.connect(box, name)
  }

  static async connect(box: Sandbox, name: string): Promise<Agent> {
    const address = path.join(box.outside, `${name}.sock`)
    await eventuallyTrue(`agent ${name} listens`, () => existsSync(address), 15_000)
    const socket = connect(address)
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    const agent = new Agent(box, name, socket)
    agent.pid = await agent.number('pid')
    return agent
  }

  /** Its answer to one command: the result in words, or an errno's name; `gone` if it died over it. */
  async call(...words: (string | number | bigint)[]): Promise<string> {
    const answer = await new Promise<string>((resolve) => {
      this.#waiting.push(resolve)
      this.#socket.write(`${words.join(' ')}\n`)
    })
    const text = words.join(' ')
    this.#box.transcript.push(
      `${this.name}: ${text.length > 160 ? `${text.slice(0, 160)}...` : text} = ${answer}`,
    )
    return answer.replace(/^(ok|error) /, '')
  }

  /** A command whose result is a number; fails on an errno. */
  async number(...words: (string | number)[]): Promise<number> {
    const answer = await this.call(...words)
    if (!/^-?\d+$/.test(answer)) throw new Error(`${this.name}: ${words.join(' ')}: ${answer}`)
    return Number(answer)
  }

  async open(file: string, flags = 'rdwr'): Promise<number> {
    return await this.number('open', file, flags)
  }

  /** A child process, as fork(2) makes it: the same descriptors and mappings. */
  async fork(name: string): Promise<Agent> {
    await this.number('fork', name)
    const child = await Agent.connect(this.#box, name)
    this.#box.adopt(child)
    return child
  }

  /**
   * execve(2): the same process, the same descriptors, nothing else. This agent speaks no more.
   * @param program another copy of leasectl, with a setuid bit for example.
   */
  async exec(name: string, program = ''): Promise<Agent> {
    void this.call('exec', name, program)
    const same = await Agent.connect(this.#box, name)
    this.#box.adopt(same)
    return same
  }

  async ioctl(fd: number, request: number, bytes: Buffer): Promise<Outcome<Buffer>> {
    const answer = await this.call('ioctl', fd, request, bytes.toString('hex'))
    const parts = /^(-?\d+) ([0-9a-f]*)$/.exec(answer)
    if (parts === null) return { errno: answer }
    return { errno: 'ok', value: Buffer.from(parts[2] ?? '', 'hex') }
  }

  async trySetLease(fd: number, request: LeaseRequest = {}): Promise<Outcome<LeaseFields>> {
    return mapped(await this.ioctl(fd, SETLEASE, encodeLease(request)), decodeLease)
  }

  async setLease(fd: number, request: LeaseRequest = {}): Promise<LeaseFields> {
    return expectOk('SETLEASE', await this.trySetLease(fd, request))
  }

  /** This OFD's lease with the smallest id above `after`. */
  async getLease(fd: number, after: bigint | number = 0): Promise<Outcome<LeaseFields>> {
    return mapped(await this.ioctl(fd, GETLEASE, encodeLease({ id: after, mode: 0, flags: 0 })), decodeLease)
  }

  async release(fd: number, id: bigint | number): Promise<string> {
    return (await this.ioctl(fd, RELEASE, encodeId(id))).errno
  }

  async setOwner(fd: number, request: OwnerRequest): Promise<string> {
    return (await this.ioctl(fd, SETOWN, encodeOwner(request))).errno
  }

  async tryPin(
    fd: number,
    lease: bigint,
    start: number | bigint,
    length: number | bigint,
  ): Promise<Outcome<PinFields>> {
    return mapped(await this.ioctl(fd, PIN, encodePin(lease, start, length)), decodePin)
  }

  async pin(
    fd: number,
    lease: bigint,
    start: number | bigint = 0,
    length: number | bigint = 0,
  ): Promise<PinFields> {
    return expectOk('PIN', await this.tryPin(fd, lease, start, length))
  }

  async unpin(fd: number, id: bigint): Promise<string> {
    return (await this.ioctl(fd, UNPIN, encodeId(id))).errno
  }

  /** Where INFO says the control directory is. */
  async controlDirectory(fd: number): Promise<string> {
    const bytes = expectOk('INFO', await this.ioctl(fd, INFO, Buffer.alloc(128)))
    const field = bytes.subarray(16, 128)
    return field.subarray(0, field.indexOf(0)).toString()
  }

  async openPinContext(fd: number): Promise<number> {
    return await this.open(`${await this.controlDirectory(fd)}/pinctx`)
  }

  /** revents of poll(2). */
  async poll(fd: number, events: number, timeoutMs = 0): Promise<number> {
    return await this.number('poll', fd, events, timeoutMs)
  }

  /** Which signals came since it was asked last, of those that it was told to `catch`. */
  async caught(): Promise<CaughtSignal[]> {
    const [, ...signals] = (await this.call('caught')).split(' ')
    return signals.map((text) => {
      const [signo = 0, code = 0, value = 0, pid = 0, uid = 0] = text.split(':').map(Number)
      return { signo, code, value, pid, uid }
    })
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name)
  }

  /** The process ends when nobody talks to it any more. */
  disconnect(): void {
    this.#socket.destroy()
  }
}

function mapped<T>(outcome: Outcome<Buffer>, decode: (bytes: Buffer) => T): Outcome<T> {
  return 'value' in outcome ? { errno: 'ok', value: decode(outcome.value) } : { errno: outcome.errno }
}

function expectOk<T>(what: string, outcome: Outcome<T>): T {
  if ('value' in outcome) return outcome.value
  throw new Error(`${what}: ${outcome.errno}`)
}
