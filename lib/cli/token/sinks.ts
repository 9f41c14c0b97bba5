import { once } from 'node:events'
import type { SessionTokenResult } from '../../options/types.js'
import type { SessionToken } from '../../token/session-token.js'
import { formatToken, type TokenFile } from './output-file.js'

/** Where tokens go. */
export interface TokenSink {
  /** Every result, also failed ones; resolves when there is room for more. */
  take(result: SessionTokenResult): Promise<void>
  close(): void
}

/** The tokens alone, a line each, in the order of `identities`; an empty line where there is none. */
export function plainSink(identities: readonly string[], signal: AbortSignal): TokenSink {
  const lines = new Map<string, string>()
  let next = 0
  return {
    async take({ identity, token }) {
      lines.set(identity, token?.sessionToken ?? '')
      for (; next < identities.length; next++) {
        const line = lines.get(identities[next] ?? '')
        if (line === undefined) return
        await print(`${line}\n`, signal)
      }
    },
    close: () => undefined,
  }
}

/** One JSON object a line, as they come. */
export function jsonSink(signal: AbortSignal): TokenSink {
  return { take: async ({ token }) => print(token ? formatToken(token) : '', signal), close: () => undefined }
}

export function fileSink(file: TokenFile): TokenSink {
  return { take: async ({ token }) => ifToken(token, each => file.append(each)), close: () => file.close() }
}

function ifToken(token: SessionToken | undefined, use: (token: SessionToken) => void): void {
  if (token) use(token)
}

async function print(text: string, signal: AbortSignal): Promise<void> {
  if (text === '' || process.stdout.write(text)) return
  await once(process.stdout, 'drain', { signal }).catch(() => undefined)
}
