import { VKitClient } from '../../client.js'
import { VKitError, type VKitErrorCode } from '../../core/vkit-error.js'
import { resolveClientOptions } from '../../options/client-options.js'
import type { VKitClientOptions } from '../../options/types.js'
import { environment } from '../../options/environment.js'
import { proxyEnvironment } from '../../options/proxy-environment.js'
import { COMMON_FLAGS, parseFlags } from '../arguments.js'
import { CommandError, usageError } from '../exit-codes.js'
import { findSecret, type FoundSecret } from '../secret.js'
import { toJson } from '../terminal.js'
import { checkNetwork } from './network.js'
import { exitCodeFor, failure, note, ok, printFinding, type Finding } from './report.js'
import { checkExposure, checkNode, checkProxy, checkSecret } from './settings.js'
import { checkStore } from './store.js'

const FLAGS = {
  ...COMMON_FLAGS,
  identity: { type: 'string' },
  'no-mint': { type: 'boolean' },
  store: { type: 'string' },
  json: { type: 'boolean' },
} as const

/** `vkit doctor`: checks the configuration, from this process to the gateway, and suggests fixes. */
export async function doctorCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseFlags(args, FLAGS)
  if (positionals.length > 0) throw usageError('vkit doctor takes no arguments.')
  const findings: Finding[] = []
  const add = (...found: Finding[]): void => {
    findings.push(...found)
    if (!values.json) found.forEach(printFinding)
  }

  add(checkNode(), checkProxy(environment(), proxyEnvironment()), ...checkExposure(environment(), process.report))
  const { secret, finding } = await locateSecret(values['secret-file'])
  add(finding)
  const options = values['base-url'] === undefined ? {} : { baseUrl: values['base-url'] }
  const { url, finding: configuration } = checkConfiguration(options, secret?.secret ?? '')
  add(configuration)
  if (url) add(...(await checkNetwork(url, proxyEnvironment())))
  // NODE_DEBUG is one of the failures: with it, Node would print the secret.
  const canMint = url && !findings.some(({ severity }) => severity === 'failure')
  if (secret && canMint && !values['no-mint']) {
    add(await checkMint(values.identity ?? 'vkit-doctor', { ...options, appSecret: secret.secret }))
  } else {
    add(note('mint', values['no-mint'] ? 'skipped (--no-mint)' : 'skipped: fix the failures above first'))
  }
  if (values.store !== undefined) for (const finding of await checkStore(values.store)) add(finding)

  if (values.json) process.stdout.write(`${toJson(findings, 2)}\n`)
  return exitCodeFor(findings)
}

async function locateSecret(secretFile: string | undefined): Promise<{ secret?: FoundSecret; finding: Finding }> {
  try {
    const secret = await findSecret(secretFile)
    return { secret, finding: checkSecret(secret) }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    return { finding: failure('secret', 'not found', error.message) }
  }
}

/** Resolves the mint URL with the client's own rules. */
function checkConfiguration(options: VKitClientOptions, secret: string): { url?: URL; finding: Finding } {
  try {
    const { endpoint, assertSendable } = resolveClientOptions(options)
    const url = endpoint()
    assertSendable(secret)
    return { url, finding: ok('settings', `tokens are minted at ${url.href}`) }
  } catch (error) {
    if (!(error instanceof VKitError)) throw error
    const advice = 'Set VKIT_BASE_URL to https://gateway.video.io, or unset it.'
    return { finding: failure('settings', error.message, advice) }
  }
}

async function checkMint(identity: string, options: VKitClientOptions): Promise<Finding> {
  const startedAt = performance.now()
  try {
    const client = new VKitClient(options)
    try {
      const { expiresAt } = await client.getSessionToken(identity)
      const took = Math.round(performance.now() - startedAt)
      return ok('mint', `token minted in ${took} ms, valid until ${expiresAt}`)
    } finally {
      await client.close()
    }
  } catch (error) {
    if (!(error instanceof VKitError)) throw error
    return failure('mint', `${error.code}: ${error.message}`, ADVICE[error.code])
  }
}

const ADVICE: Partial<Record<VKitErrorCode, string>> = {
  VKIT_UNAUTHENTICATED:
    'Copy the secret again: dashboard → Apps → Your App → API TOKEN. Check that it belongs to the right app.',
  VKIT_FORBIDDEN: 'The app is not allowed to do this. Check its permissions in the dashboard.',
  VKIT_RATE_LIMITED: 'The gateway limits the rate of requests with this secret. Try again later.',
  VKIT_UNAVAILABLE: 'The gateway is unavailable. Try again later; the SDK serves cached tokens in the meantime.',
  VKIT_TIMEOUT: 'The connection is slow, or a firewall drops it.',
  VKIT_REDIRECT: 'If you trust the redirect target, set VKIT_BASE_URL to it.',
}
