/**
 * An ordinary user of a sandbox, with what such a user has elsewhere: a name in /etc/passwd, a runtime directory, and a
 * /dev/fuse that may be opened (on many machines without a desktop only root may). Its working directory is its own.
 */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { Agent } from './agent.js'
import { HOLDFAST, program, REPOSITORY } from './programs.js'
import { type CommandOptions, PLAIN_ENVIRONMENT, type Result, type Running, type Sandbox } from './sandbox.js'

export const USER = 4711
export const RUNTIME = `/run/user/${USER}`

/** Whoever runs the tests may keep the checkout where nobody else can read it; here it has a second place. */
const REACHABLE = '/run/holdfast-checkout'

/** A path of the checkout, as an ordinary user reaches it. */
function reachable(file: string): string {
  return file.startsWith(`${REPOSITORY}/`) ? REACHABLE + file.slice(REPOSITORY.length) : file
}

/** Programs of the tests and Holdfast itself, for the user. */
export const USER_HOLDFAST = reachable(HOLDFAST)
export const USER_PROGRAMS = reachable(path.join(REPOSITORY, 'test', 'programs'))

const PREPARATION = `
set -e
chown ${USER}:${USER} . && chmod 755 .
mkdir -p ${RUNTIME} ${REACHABLE} "$2/sockets" && chown ${USER}:${USER} ${RUNTIME} "$2/sockets" && chmod 700 ${RUNTIME}
mount --rbind "$1" ${REACHABLE}
mknod -m 666 "$2/fuse" c 10 229 && mount --bind "$2/fuse" /dev/fuse
{ cat /etc/passwd; echo "holdfast-user:x:${USER}:${USER}::/nonexistent:/bin/sh"; } > "$2/passwd"
chmod 644 "$2/passwd" && mount --bind "$2/passwd" /etc/passwd
`

/** Why none of these tests can run here; null if they can. */
export const WHY_NOT = existsSync('/usr/bin/fusermount3') ? null : 'fusermount3 is not installed'

export class User {
  readonly box: Sandbox
  readonly env: NodeJS.ProcessEnv = {
    ...PLAIN_ENVIRONMENT,
    // What root has in PATH besides may be for root only.
    PATH: `${path.dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`,
    HOME: '/nonexistent',
    XDG_RUNTIME_DIR: RUNTIME,
  }

  private constructor(box: Sandbox) {
    this.box = box
  }

  /** Turns the sandbox's working directory over to the user. */
  static async in(box: Sandbox): Promise<User> {
    await box.must(PREPARATION, { args: [REPOSITORY, box.outside] })
    return new User(box)
  }

  argv(argv: readonly string[], uid = USER): string[] {
    return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', ...argv]
  }

  async exec(argv: readonly string[], options: CommandOptions = {}): Promise<Result> {
    return await this.box.exec(this.argv(argv), { env: this.env, ...options })
  }

  async bash(script: string, ...args: string[]): Promise<Result> {
    return await this.exec(['bash', '-c', script, 'bash', ...args])
  }

  async must(script: string, ...args: string[]): Promise<string> {
    const result = await this.bash(script, ...args)
    if (result.code === 0) return result.stdout
    throw new Error(`${script}: ${result.code ?? result.signal}: ${result.stderr}${result.stdout}`)
  }

  async holdfast(...args: string[]): Promise<Result> {
    return await this.exec([USER_HOLDFAST, ...args])
  }

  /** As root in a mount namespace of its own, after some preparation, the user's holdfast. */
  async holdfastAfter(preparation: string, ...words: string[]): Promise<Result> {
    const script = `${preparation}\nexec "$@"`
    const argv = ['unshare', '-m', '--propagation', 'private', 'bash', '-ec', script, 'bash']
    return await this.box.exec([...argv, ...this.argv([USER_HOLDFAST, ...words])], { env: this.env })
  }

  /** `holdfast run FILES -- sh -c COMMAND` in the background, once COMMAND says that it runs. */
  async run(files: readonly string[], command = 'echo started; exec sleep 1000'): Promise<Running> {
    const argv = [USER_HOLDFAST, 'run', ...files, '--', 'sh', '-c', command]
    const running = this.box.start(this.argv(argv), { env: this.env })
    await running.says('started', 20_000)
    return running
  }

  async agent(name: string): Promise<Agent> {
    const sockets = path.join(this.box.outside, 'sockets')
    this.box.start(this.argv([reachable(program('leasectl')), sockets, name]), { env: this.env })
    const agent = await Agent.connect(this.box, path.join('sockets', name))
    this.box.adopt(agent)
    return agent
  }
}
