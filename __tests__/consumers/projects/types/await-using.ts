import { VKitClient } from '@video-io/videokit-nodejs'
import { GatewayEmulator } from '@video-io/videokit-nodejs/testing'

declare const process: { env: Record<string, string | undefined> }

async function main(): Promise<void> {
  let closed: VKitClient
  {
    await using vkit = new VKitClient()
    await using emulator = await new GatewayEmulator().start()
    const token = await vkit.getSessionToken(process.env['CONSUMER'] ?? emulator.url)
    // @ts-expect-error -- a token has no such member
    void token[Symbol.asyncDispose]
    closed = vkit
  }
  const error = await closed.getSessionToken('any').catch((reason: unknown) => reason)
  if (!(error instanceof Error && error.name === 'VKitClosedError')) throw new Error('the client was not closed')
}

void main()
