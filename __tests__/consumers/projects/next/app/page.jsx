'use client'
import { VKitError } from '@video-io/videokit-nodejs'

export default function Page() {
  return <p>{VKitError.is(null) ? 'failed' : 'ready'}</p>
}
