/** The host's side of its agents: one connection each. */
import { readFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, type Command, hostSocket, LineReader, type Said } from './protocol.js'

const HELLO_PATIENCE_MS = 10_000
const DEATH_POLL_MS = 1

/** What a process that has ended left behind: the signal that ended it, null if it exited. */
export interface Death {
  readonly signo: number | null
}

export class AgentLink {
  readonly id: string
  pid: number
  /** Set when it has ended, and all of its descriptors and mappings have gone. */
  death: Death | null = null
  readonly died: Promise<Death>
  /** The answer to the command under way, if there is one. */
  #answered: ((answer: Answer | null) => void) | null = null
  #greeted: (() => void) | null = null
  readonly #socket: Socket
  #told: (line: string) => void = () => {}

  constructor(id: string, pid: number, socket: Socket) {
    this.id = id
    this.pid = pid
    this.#socket = socket
    this.died = new Promise((resolve, reject) => {
      socket.once('close', () => {
        this.#watchDeath().then(resolve, reject)
      })
    })
  }

  get isBusy(): boolean {
    return this.#answered !== null
  }

  onTold(listener: (line: string) => void): void {
    this.#told = listener
  }

  /** @internal What it said. */
  said(message: Said): void {
    switch (message.say) {
      case 'hello':
        this.#greeted?.()
        this.#greeted = null
        break
      case 'told':
        this.#told(message.line)
        break
      case 'answer': {
        const resolve = this.#answered
        this.#answered = null
        resolve?.(message)
      }
    }
  }

  /** @returns its answer, however long that takes; null if it ends without one. */
  command(command: Command): Promise<Answer | null> {
    if (this.#answered !== null) throw new Error(`agent ${this.id} is still busy`)
    if (this.death !== null) return Promise.resolve(null)
    const answer = new Promise<Answer | null>((resolve) => {
      this.#answered = resolve
    })
    this.#socket.write(`${JSON.stringify(command)}\n`)
    return answer
  }

  /** After exec nobody is left who would answer. */
  forgetCommand(): void {
    this.#answered = null
  }

  /** Its next hello, which it says after exec. */
  greeting(): Promise<void> {
    return new Promise((resolve) => {
      this.#greeted = resolve
    })
  }

  /** Its connection is closed by the kernel on the way out: then the state follows at once. */
  async #watchDeath(): Promise<Death> {
    for (;;) {
      const death = readDeath(this.pid)
      if (death !== null) {
        this.death = death
        const resolve = this.#answered
        this.#answered = null
        resolve?.(null)
        return death
      }
      await sleep(DEATH_POLL_MS)
    }
  }

  kill(): void {
    if (this.death === null) process.kill(this.pid, 'SIGKILL')
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** A zombie has given back everything; before that it may still hold descriptors. Field 52 is the exit code. */
function readDeath(pid: number): Death | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] !== 'Z' && fields[0] !== 'X') return null
    const signo = Number(fields[49]) & 0x7f
    return { signo: signo === 0 ? null : signo }
  } catch {
    // Its exit has been taken in already.
    return { signo: null }
  }
}

/** Where agents report. */
export class AgentServer {
  readonly #server: Server
  readonly #expected = new Map<string, (link: AgentLink) => void>()

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', (socket) => this.#connected(socket))
  }

  static async listen(directory: string): Promise<AgentServer> {
    const server = createServer()
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ path: hostSocket(directory), readableAll: true, writableAll: true }, resolve)
    })
    return new AgentServer(server)
  }

  #connected(socket: Socket): void {
    const lines = new LineReader()
    let link: AgentLink | null = null
    socket.on('error', () => socket.destroy())
    socket.on('data', (bytes: Buffer) => {
      for (const line of lines.take(bytes)) {
        const message = JSON.parse(line) as Said
        if (link !== null) link.said(message)
        else if (message.say === 'hello') {
          link = new AgentLink(message.id, message.pid, socket)
          this.#expected.get(message.id)?.(link)
          this.#expected.delete(message.id)
        }
      }
    })
  }

  /** The agent that will say hello with this id. */
  async expect(id: string): Promise<AgentLink> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`agent ${id} does not come up`)), HELLO_PATIENCE_MS)
    })
    const link = new Promise<AgentLink>((resolve) => {
      this.#expected.set(id, resolve)
    })
    try {
      return await Promise.race([link, late])
    } finally {
      clearTimeout(timer)
    }
  }

  close(): void {
    this.#server.close()
  }
}
