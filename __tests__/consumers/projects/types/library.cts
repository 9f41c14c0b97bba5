// A CommonJS library of someone else: its declarations name the `require` copy.
import { VKitClient, type SessionToken, type TokenSource } from '@video-io/videokit-nodejs'

export function makeClient(): VKitClient {
  return new VKitClient()
}

export function mint(vkit: VKitClient, identity: string): Promise<SessionToken> {
  return vkit.getSessionToken(identity)
}

export function mintFrom(source: TokenSource, identity: string): Promise<SessionToken> {
  return source.getSessionToken(identity)
}
