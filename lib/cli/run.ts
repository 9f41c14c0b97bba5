import { readFile } from 'node:fs/promises'
import { nearestName } from '../core/nearest-name.js'
import { VKitError } from '../core/vkit-error.js'
import { refuseSecrets } from './arguments.js'
import { doctorCommand } from './doctor/command.js'
import { emulatorCommand } from './emulator/command.js'
import { CommandError, EXIT, exitCodeOf, usageError } from './exit-codes.js'
import { HELP } from './help.js'
import { printError } from './terminal.js'
import { tokenCommand } from './token/command.js'

const COMMANDS = { token: tokenCommand, emulator: emulatorCommand, doctor: doctorCommand } as const

/** Runs one command, and resolves to its exit code. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    refuseSecrets(args)
    return await dispatch(args)
  } catch (error) {
    return reportError(error)
  }
}

async function dispatch([name = '', ...rest]: readonly string[]): Promise<number> {
  if (name === '--version' || name === '-v') return print(await readVersion())
  if (name === '--help' || name === '-h') return print(HELP.all)
  if (name === 'help') return print(isCommand(rest[0]) ? HELP[rest[0]] : HELP.all)
  if (name === '') {
    process.stderr.write(`${HELP.all}\n`)
    return EXIT.usage
  }
  if (!isCommand(name)) {
    const meant = nearestName(name, Object.keys(COMMANDS))
    throw usageError(`Unknown command.${meant ? ` Did you mean ${meant}?` : ''} Commands: token, emulator, doctor.`)
  }
  return wantsHelp(rest) ? print(HELP[name]) : COMMANDS[name](rest)
}

/** Reads the version from the manifest. An import would put the whole manifest into the bundle. */
async function readVersion(): Promise<string> {
  const manifest = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

function isCommand(name: string | undefined): name is keyof typeof COMMANDS {
  return name !== undefined && Object.hasOwn(COMMANDS, name)
}

function wantsHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return args.slice(0, end < 0 ? undefined : end).some(arg => arg === '--help' || arg === '-h')
}

function print(text: string): number {
  process.stdout.write(`${text}\n`)
  return EXIT.ok
}

function reportError(error: unknown): number {
  if (error instanceof CommandError) {
    printError(error.message)
    return error.exitCode
  }
  if (error instanceof VKitError) {
    printError(`${error.code}: ${error.message}`)
    return exitCodeOf(error)
  }
  // The message may contain user input or the secret, so only the stack frames are printed.
  const { name, stack = '' } = error instanceof Error ? error : new Error('unknown')
  printError(`Internal error in vkit (${name}).`, ...stack.split('\n').filter(line => /^\s+at /.test(line)))
  return EXIT.failed
}
