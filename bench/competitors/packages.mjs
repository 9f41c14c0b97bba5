// Server SDKs to compare with. To add one, add an entry.
export const OURS = '@video-io/videokit-nodejs'
export const REFERENCE = 'stripe'

export const packages = [
  OURS,
  REFERENCE,
  'openai',
  '@octokit/auth-app',
  'livekit-server-sdk',
  'twilio',
  '@azure/identity',
  'google-auth-library',
]
