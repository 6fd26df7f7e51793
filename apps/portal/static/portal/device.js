// What this device keeps of a worker: send what the server does not have, and delete it. It is loaded
// when it is needed.

const KEEP_MS = 14 * 24 * 3600 * 1000
const PATIENCE_MS = 20_000
const NOTICES_DEVICE = 'notices-device'

const tokenOf = () => document.querySelector('[name=csrfmiddlewaretoken]')?.value

async function storeOf({ parts }) {
  return (await import(parts)).store
}

// `key` begins with the worker's id, and goes on with the run's.
async function entriesOf(store, isWanted) {
  const found = []
  for (const kind of ['drafts', 'uploads', 'thumbs']) {
    for (const id of (await store.keys(kind)) ?? []) {
      const value = await store.get(kind, id)
      if (!value) continue
      const entry = { kind, id, value, key: kind === 'drafts' ? id : value.key ?? '' }
      if (isWanted(entry)) found.push(entry)
    }
  }
  return found
}

/** Delete what is older than 14 days, and what has no time. */
export async function deleteOld(page) {
  const store = await storeOf(page)
  const oldest = Date.now() - KEEP_MS
  for (const { kind, id } of await entriesOf(store, ({ value }) => !(value.at > oldest))) await store.remove(kind, id)
}

/** Delete what is kept of a run, and its pictures. */
export async function deleteRun(page, key) {
  const store = await storeOf(page)
  for (const { kind, id } of await entriesOf(store, (one) => one.key === key)) await store.remove(kind, id)
}

/** Send what was typed into a run, and delete it here. Return 'sent', 'none', or null where it stays. */
export async function sendKept(page, key) {
  const store = await storeOf(page)
  const kept = await store.get('drafts', key)
  if (!kept?.form) return 'none'
  const { epoch, revision, form } = kept
  const answer = await fetch(`${page.scope}runs/${key.split('/')[1]}/draft`, {
    method: 'POST', redirect: 'manual', signal: AbortSignal.timeout(PATIENCE_MS),
    headers: { Accept: 'application/json', 'Content-Type': 'application/json', 'X-CSRFToken': tokenOf() },
    body: JSON.stringify({ epoch, revision, form }),
  }).catch(() => null)
  const known = answer?.ok ? await answer.json().catch(() => null) : null
  if (!known || known.refused) return null
  // More may have been typed meanwhile.
  const now = await store.get('drafts', key)
  if (JSON.stringify(now?.form ?? form) !== JSON.stringify(form)) return null
  await store.remove('drafts', key)
  return 'sent'
}

async function isUnsent(page, { kind, key, value }) {
  if (kind === 'drafts') return Boolean(value.form) && !(await sendKept(page, key))
  return kind === 'uploads'
}

async function endNotices({ devices, scope }) {
  const known = await navigator.serviceWorker?.getRegistration(scope)
  const subscription = await known?.pushManager?.getSubscription()
  await subscription?.unsubscribe()
  const device = localStorage.getItem(NOTICES_DEVICE)
  if (!device) return
  await fetch(`${devices}${device}/remove/`, {
    method: 'POST', redirect: 'manual', signal: AbortSignal.timeout(PATIENCE_MS),
    headers: { Accept: 'application/json', 'X-CSRFToken': tokenOf() },
  })
  localStorage.removeItem(NOTICES_DEVICE)
}

/** Send the form that signs the worker out, once nothing of it is left here. */
export async function signOut(form, page) {
  if (await leave(page)) form.submit()
}

// Return false where the worker stays signed in.
async function leave(page) {
  const store = await storeOf(page)
  const own = ({ key }) => key.startsWith(`${page.owner}/`)
  let isAsked = false
  for (const entry of await entriesOf(store, own)) isAsked = (await isUnsent(page, entry)) || isAsked
  if (isAsked && !window.confirm(page.unsent)) return false
  document.dispatchEvent(new Event('portal:signing-out'))
  for (const { kind, id } of await entriesOf(store, own)) await store.remove(kind, id)
  await endNotices(page).catch(console.warn)
  return true
}
