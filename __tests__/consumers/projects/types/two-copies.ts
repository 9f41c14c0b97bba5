import { VKitClient, VKitError, type TokenSource } from '@video-io/videokit-nodejs'
import { createTokenHandler } from '@video-io/videokit-nodejs/handlers'
import { makeClient, mint, mintFrom } from './library.cjs'

declare const process: { env: Record<string, string | undefined> }

const identity = process.env['CONSUMER'] ?? ''
const ours = new VKitClient()
const theirs: VKitClient = makeClient()
const source: TokenSource = theirs

export const handlers = [ours, theirs, source].map(vkit => createTokenHandler(vkit, { authenticate: () => identity }))

// @ts-expect-error -- not a client
void (() => mint({ getSessionToken: ours.getSessionToken }, identity))

await mint(ours, identity)
await mintFrom(source, identity)
const error: unknown = await theirs.getSessionToken('').catch((reason: unknown) => reason)
if (!VKitError.is(error)) throw new Error('not an error of the other copy')
await Promise.all([ours.close(), theirs.close()])
