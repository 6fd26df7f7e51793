// Keep what is typed: on this device at each input, on the server a second after it.
//
// 1. An input counts as an edit. The fields are written to IndexedDB at once, and sent a second
//    later with the revision that this page has seen. The copy is deleted once the server has it.
// 2. `sent` has what was sent and not answered. A stored draft that equals one of these is ours,
//    although its answer was lost: we go on from its revision.
// 3. Any other revision was typed elsewhere. Both are shown, and nothing is sent until the worker
//    has chosen.
// 4. When the page is loaded, a copy that is left is saved first, and the fields are then loaded
//    again. Until that is done, and while two versions are shown, they take no input, and
//    `state.held` has what this device keeps instead of what they contain.

const SAVE_AFTER = 1000
const SAVE_AT_LATEST = 4000
const BEAT_EVERY = 30_000
// What a browser sends after its page is gone (https://fetch.spec.whatwg.org, keepalive).
const KEEPALIVE_BYTES = 60_000

const root = document.getElementById('task')
const t = root.dataset
const KEY = `${t.owner}/${t.run}`
const form = document.getElementById('task-form')
const fields = document.getElementById('fields')
const channel = new BroadcastChannel(`biolayer-run-${t.run}`)

// What is known of this page. The scripts that it loads read and change it too.
const state = {
  // What calls name: the run's epoch, the draft's revision that this page has seen, the form's token.
  epoch: Number(t.epoch),
  revision: Number(t.revision),
  token: form.elements.csrfmiddlewaretoken.value,
  // How many edits there were, and how many of them the server has.
  edits: 0,
  saved: 0,
  // The save that is under way, the timer of the next, and when the first edit since the last was.
  saving: null,
  waiting: null,
  firstEdit: 0,
  // What was sent and not answered, and how often that failed in a row.
  sent: [],
  failures: 0,
  // {mine, theirs} while two versions are shown; what the device keeps in place of the fields.
  conflict: null,
  held: null,
  // The lease ended; nothing can be saved any more; the session ended.
  isLost: t.held !== 'yes',
  isGone: false,
  isSignedOut: false,
  // The worker has asked to submit, and has edited nothing since.
  submits: false,
  // What the validator found, pointers of fields that were left, and whether the bar tells of trouble.
  faults: [],
  touched: new Set(),
  trouble: false,
}

fields.inert = true
// What they contain is not yet what was typed.
form.addEventListener('submit', (event) => fields.inert && event.preventDefault())

// Without the form's script the page still works: its fields are plain.
const [{ attach, showFaults }, { store, partsOf, filesOf, watchThread, load, pause, RETRY_AFTER }] = await Promise.all([
  import(t.forms).catch(() => ({ attach() {}, showFaults() {} })), import(t.parts),
])
const parts = partsOf({ t, form, fields, state, showFaults })
const { collect, canonical, clock, say, notice, call, refresh, setLost } = parts
const files = filesOf({ t, key: KEY, state, say, refresh, stored: setStarted })
watchThread({ state, keep })

// --- what the page contains --------------------------------------------------------------------

const isDirty = () => state.edits !== state.saved
const keptTexts = () => Object.fromEntries(
  [...document.querySelectorAll('[data-keep]')].filter((e) => e.value).map((e) => [e.id, e.value]))

function keep() {
  const texts = keptTexts(), { epoch, revision, sent } = state
  const form = state.held ?? (isDirty() ? collect() : null)
  if (!form && !Object.keys(texts).length) return store.remove('drafts', KEY)
  return store.put('drafts', KEY, { form, epoch, revision, sent: [...sent], texts, at: Date.now() })
}

// Note what is sent, so that it is known as ours should its answer be lost.
function noteSent(found) {
  const text = canonical(found)
  state.sent = [...state.sent.filter((one) => one !== text), text].slice(-5)
  return keep()
}

// --- saving ------------------------------------------------------------------------------------

function schedule() {
  clearTimeout(state.waiting)
  state.firstEdit ||= Date.now()
  const left = Math.max(0, state.firstEdit + SAVE_AT_LATEST - Date.now())
  state.waiting = setTimeout(save, Math.min(SAVE_AFTER, left))
}

function retry() {
  clearTimeout(state.waiting)
  const wait = RETRY_AFTER[Math.min(state.failures++, RETRY_AFTER.length - 1)]
  state.waiting = setTimeout(() => (state.submits ? submit() : save()), wait)
}

function save() {
  clearTimeout(state.waiting)
  state.saving ??= saveAll().finally(() => { state.saving = null })
  return state.saving
}

// Return whether the server has all that was typed here; null where it cannot be reached.
async function saveAll() {
  if (fields.inert) return false
  while (isDirty()) {
    if (fields.inert || state.isGone) return false
    const edits = state.edits, found = collect()
    state.firstEdit = 0
    say(t.textSaving, { isTrouble: state.trouble })
    const answer = await sendDraft(found)
    if (answer === 'again') continue
    if (!answer) return answer
    state.saved = edits
    await keep()
    channel.postMessage({ kind: 'saved', revision: state.revision })
    parts.showChecked(answer)
    if (!isDirty()) parts.sayStored(answer.saved_at)
  }
  return true
}

// Send the fields. Return the answer once they are stored, 'again' to send once more, false where
// they are refused, or null.
async function sendDraft(found) {
  await noteSent(found)
  const answer = await call('draft', { epoch: state.epoch, revision: state.revision, form: found })
  if (answer?.status === 200) {
    Object.assign(state, { revision: answer.body.revision, sent: [], failures: 0 })
    form.elements.revision.value = state.revision
    if (answer.body.is_started) setStarted()
    setLost(!answer.body.is_held)
    return answer.body
  }
  if (answer?.body.code === 'draft_changed' && await adopt(answer.body.draft)) return 'again'
  refused(answer)
  return answer && false
}

// Go on from the stored draft if it is one of those that we sent; else show both.
async function adopt(stored) {
  const revision = stored?.revision ?? 0, found = canonical(stored?.form)
  if (state.sent.includes(found) || found === canonical(state.held ?? collect())) {
    state.revision = revision
    return true
  }
  say(t.textUnsaved, { isTrouble: true })
  const { showConflict } = await withVersions()
  showConflict(state.held ?? collect(), stored ?? { revision: 0, form: {} })
  return false
}

function refused(answer) {
  if (!answer) {
    say(navigator.onLine ? t.textUnsaved : t.textOffline, { isTrouble: true })
    return retry()
  }
  if (answer.status === 401 || state.conflict) return
  if (answer.status === 413 || answer.body.code === 'invalid_input') return say(t.textTooLarge, { isTrouble: true })
  if (answer.body.code === 'run_submitted') return location.reload()
  if (answer.body.code === 'lease_lost') setLost(true)
  if (answer.status === 404 || answer.body.code === 'task_purged') {
    state.isGone = true
    notice('gone')
  }
  say(t.textRefused, { isTrouble: true })
}

// The page goes away, perhaps for good: send what is not saved without waiting for the answer.
function flush() {
  if (!isDirty() || state.conflict || state.isGone || fields.inert) return
  const found = collect()
  noteSent(found)
  if (!state.saving && canonical(found).length < KEEPALIVE_BYTES) {
    const body = { epoch: state.epoch, revision: state.revision, form: found }
    call('draft', body, { keepalive: true, isSecond: true })
  }
}

function setStarted() {
  document.getElementById('start-form')?.remove()
  document.getElementById('submit-button').classList.remove('secondary')
}

// --- two versions ------------------------------------------------------------------------------

let versions = null
async function withVersions() {
  const { versionsOf } = await load(t.versions)
  versions ??= versionsOf({
    t, form, fields, state, parts, attach, keep, noteSent, edited, adopt, refused, pause,
  })
  return versions
}

// Before the connection may be lost, and not while the page loads.
root.addEventListener('focusin', () => {
  for (const script of [t.versions, t.submission, t.evidenceScript]) load(script)
}, { once: true })

// What another tab or device saved. It is shown at once unless something is typed here.
async function changedElsewhere(revision) {
  if (revision <= state.revision || state.saving || fields.inert) return
  if (!isDirty()) await (await withVersions()).loadFields()
}

// --- submitting --------------------------------------------------------------------------------

let submission = null
function submit() {
  clearTimeout(state.waiting)
  if (state.conflict) document.getElementById('conflict').focus()
  if (fields.inert && !submission) return undefined
  state.submits = true
  submission ??= submitAll().finally(() => { submission = null })
  return submission
}

// An edit ends it: each step looks at `state.submits` again.
async function submitAll() {
  while (state.submits) {
    const isSaved = await save()
    if (!state.submits) return
    if (isSaved === null) return unsent()
    const { send } = await withSubmission()
    if (!state.submits) return
    if (!isSaved || !(await files.areSent())) { state.submits = false; return }
    if (state.submits && !isDirty() && !fields.inert && await send() !== 'again') return
  }
}

let sending = null
async function withSubmission() {
  const { submissionOf } = await load(t.submission, sayUnsent)
  sending ??= submissionOf({
    t, key: KEY, form, fields, state, parts, store, channel, noteSent, adopt, refused, unsent,
  })
  return sending
}

const sayUnsent = () => say(t.textUnsent, { isTrouble: true })

function unsent() {
  sayUnsent()
  retry()
}

// --- what happens ------------------------------------------------------------------------------

function edited() {
  state.edits += 1
  if (state.submits) { state.submits = false; parts.announce(t.textChanged) }
  keep()
  schedule()
}
const changed = new Set()
fields.addEventListener('input', ({ target }) => {
  if (target.name) changed.add(target.name)
  edited()
})
// A fault is shown once its field was changed and left: not while it is typed into.
fields.addEventListener('focusout', ({ target }) => {
  if (!changed.has(target.name)) return
  state.touched.add(`/${target.name}`)
  if (!isDirty()) parts.showTouchedFaults()
})
for (const one of document.querySelectorAll('[data-keep]')) one.addEventListener('input', () => keep())
form.addEventListener('submit', (event) => { event.preventDefault(); submit() })
parts.attachLinks(root)
// Once the task is with another worker, this page cannot send what is typed.
const releasing = document.querySelector('form[data-send]')
let isReleased = false
releasing.addEventListener('submit', async (event) => {
  if (isReleased) return
  event.preventDefault()
  const isSaved = await save()
  if (state.conflict) return document.getElementById('conflict').focus()
  if (isSaved === null || state.isSignedOut || fields.inert) return undefined
  isReleased = true
  // A form is not submitted again while it is: `save` may have had nothing to wait for.
  return setTimeout(() => releasing.requestSubmit())
})
document.addEventListener('portal:save', (event) => { event.preventDefault(); save() })
// The worker has signed out, and nothing of this page is to stay on the device.
document.addEventListener('portal:signing-out', () => {
  clearTimeout(state.waiting)
  fields.inert = true
  Object.assign(state, { saved: state.edits, held: null, submits: false })
})
channel.addEventListener('message', ({ data }) => {
  if (data.kind === 'submitted') location.reload()
  else changedElsewhere(data.revision)
})
addEventListener('pagehide', flush)
addEventListener('online', () => { state.failures = 0; wake() })
addEventListener('pageshow', (event) => event.persisted && wake())
addEventListener('focus', () => state.isSignedOut && wake())
document.addEventListener('visibilitychange', () => (document.hidden ? flush() : wake()))

async function wake() {
  if (state.isSignedOut && !(await refresh())) return
  if (state.submits) submit()
  else if (isDirty()) save()
  beat()
}

async function beat() {
  if (document.hidden || state.isLost || state.isSignedOut || state.isGone) return
  const answer = await call('heartbeat', { epoch: state.epoch })
  if (answer?.body.code === 'lease_lost') setLost(true)
  if (answer?.status === 404) setLost(true)
  if (answer?.status !== 200) return
  const shown = document.querySelector('[data-lease]')
  if (shown && answer.body.lease_until) shown.textContent = clock(answer.body.lease_until)
  changedElsewhere(answer.body.revision)
}
// A lease may be shorter than the usual pause: three calls fit into it.
setInterval(beat, Math.min(BEAT_EVERY, (Number(t.leaseSeconds) || Infinity) * 1000 / 3))

// --- the beginning -----------------------------------------------------------------------------

attach(fields)
files.resume()
const isTyped = parts.isTyped()
const kept = await store.get('drafts', KEY)
for (const [id, text] of Object.entries(kept?.texts ?? {})) {
  const field = document.getElementById(id)
  if (field && !field.value) field.value = text
}
if (kept?.form && canonical(kept.form) !== canonical(collect())) {
  Object.assign(state, { held: kept.form, revision: kept.revision, sent: kept.sent })
  const { showConflict, restore } = await withVersions()
  if (isTyped) showConflict(kept.form, { revision: Number(t.revision), form: collect(), isTyped })
  else await restore(kept.form, kept.revision)
} else {
  fields.inert = false
  if (isTyped) edited()
  else if (kept?.form) await keep()
}
await files.showThumbs()
