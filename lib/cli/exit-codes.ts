import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { VKitError, VKitErrorCode } from '../core/vkit-error.js'

/** Exit codes, documented in `vkit --help` and the guide. Signals have their own. */
export const EXIT = {
  ok: 0,
  /** Some identities or a check of the doctor failed. */
  failed: 1,
  usage: 2,
  config: 3,
  refused: 4,
  unreachable: 5,
  file: 6,
  /** The doctor reports warnings, no failures. */
  warnings: 7,
} as const

const BY_CODE: Partial<Record<VKitErrorCode, number>> = {
  VKIT_CONFIG: EXIT.config,
  VKIT_UNAUTHENTICATED: EXIT.refused,
  VKIT_FORBIDDEN: EXIT.refused,
  VKIT_RATE_LIMITED: EXIT.unreachable,
  VKIT_UNAVAILABLE: EXIT.unreachable,
  VKIT_CONNECTION: EXIT.unreachable,
  VKIT_TLS: EXIT.unreachable,
  VKIT_TIMEOUT: EXIT.unreachable,
}

export function exitCodeOf(error: VKitError): number {
  return BY_CODE[error.code] ?? EXIT.failed
}

/** Ends the command with a message and an exit code. The message never contains user input that may be secret. */
export class CommandError extends Error {
  readonly exitCode: number
  constructor(message: string, exitCode: number) {
    super(message)
    this.exitCode = exitCode
  }
}

export function usageError(message: string): CommandError {
  return new CommandError(`${message} See --help.`, EXIT.usage)
}

/** An error for a failed file operation. It leaves out Node's message, which contains the path. A CommandError stays. */
export function fileError(what: string, error: unknown): CommandError {
  if (error instanceof CommandError) return error
  const { code = 'unknown error', path } = (error ?? {}) as NodeJS.ErrnoException
  const isFolderMissing = code === 'ENOENT' && path !== undefined && !existsSync(dirname(path))
  return new CommandError(
    `${what}: ${isFolderMissing ? 'its folder does not exist' : (WORDS[code] ?? code)}.`,
    EXIT.file,
  )
}

const WORDS: Record<string, string> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is not a folder',
  ENOSPC: 'the disk is full',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
}
