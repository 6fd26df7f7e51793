// Keep what is typed: on this device at each input, on the server a second after it.
//
// 1. An input counts as an edit. The fields are written to IndexedDB at once, and sent a second
//    later with the revision that this page has seen. The copy is deleted once the server has it.
// 2. `sent` has what was sent and not answered. A stored draft that equals one of these is ours,
//    although its answer was lost: we go on from its revision.
// 3. Any other revision was typed elsewhere. Both are shown, and nothing is sent until the worker
//    has chosen.
// 4. When the page is loaded, a copy that is left is saved first, and the fields are then loaded
//    again. Until that is done they take no input.

const SAVE_AFTER = 1000
const SAVE_AT_LATEST = 4000
const BEAT_EVERY = 30_000
const RETRY_AFTER = [1000, 2000, 4000, 8000, 15_000, 30_000]
const PATIENCE = 20_000
// What a browser sends after its page is gone (https://fetch.spec.whatwg.org, keepalive).
const KEEPALIVE_BYTES = 60_000

// --- the store on this device --------------------------------------------------------------------

const opening = new Promise((resolve) => {
  try {
    const request = indexedDB.open('biolayer-portal', 1)
    request.onupgradeneeded = () => {
      for (const name of ['drafts', 'uploads', 'thumbs']) request.result.createObjectStore(name)
    }
    request.onsuccess = () => resolve(request.result)
    request.onerror = request.onblocked = () => resolve(null)
    setTimeout(() => resolve(null), 3000)
  } catch {
    resolve(null)
  }
})
let database = null
opening.then((opened) => { database = opened })

function transact(db, kind, mode, use) {
  if (!db) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    try {
      const transaction = db.transaction(kind, mode)
      const request = use(transaction.objectStore(kind))
      transaction.oncomplete = () => resolve(request.result)
      transaction.onerror = transaction.onabort = () => resolve(undefined)
      // Else a page that goes away at once takes the write with it.
      if (mode === 'readwrite') transaction.commit()
    } catch {
      resolve(undefined)
    }
  })
}

function withStore(kind, mode, use) {
  return database ? transact(database, kind, mode, use) : opening.then((db) => transact(db, kind, mode, use))
}

const store = {
  get: (kind, key) => withStore(kind, 'readonly', (s) => s.get(key)),
  all: (kind) => withStore(kind, 'readonly', (s) => s.getAll()),
  put: (kind, key, value) => withStore(kind, 'readwrite', (s) => s.put(value, key)),
  remove: (kind, key) => withStore(kind, 'readwrite', (s) => s.delete(key)),
}

const ended = document.getElementById('ended')
if (ended) store.remove('drafts', `${ended.dataset.owner}/${ended.dataset.run}`)

const root = document.getElementById('task')
if (root) await main(root)

async function main(root) {
  const t = root.dataset
  const KEY = `${t.owner}/${t.run}`
  const form = document.getElementById('task-form')
  const fields = document.getElementById('fields')
  const summary = document.getElementById('problems')
  const status = document.getElementById('save-status')
  const announcements = document.getElementById('announcements')
  const channel = new BroadcastChannel(`biolayer-run-${t.run}`)
  const state = {
    epoch: Number(t.epoch), revision: Number(t.revision), token: form.elements.csrfmiddlewaretoken.value,
    edits: 0, saved: 0, sent: [], saving: null, waiting: null, firstEdit: 0, failures: 0,
    conflict: null, isLost: t.held !== 'yes', isGone: false, isSignedOut: false, submits: false,
    faults: [], touched: new Set(), trouble: false,
  }
  fields.inert = true

  // Without the form's script the page still works: its fields are plain.
  const { attach, showFaults } = await import(t.forms).catch(() => ({ attach() {}, showFaults() {} }))

  // --- what the page contains --------------------------------------------------------------------

  function collect() {
    const found = {}
    for (const [name, value] of new FormData(form)) {
      if (name === 'output' || name.startsWith('output/')) (found[name] ??= []).push(value)
    }
    return found
  }
  const canonical = (found) => JSON.stringify(Object.entries(found ?? {}))
  const isDirty = () => state.edits !== state.saved
  const keptTexts = () => Object.fromEntries(
    [...document.querySelectorAll('[data-keep]')].filter((e) => e.value).map((e) => [e.id, e.value]))

  function keep(found = collect()) {
    const texts = keptTexts()
    if (!isDirty() && !Object.keys(texts).length) return store.remove('drafts', KEY)
    const { epoch, revision, sent } = state
    return store.put('drafts', KEY, { form: isDirty() ? found : null, epoch, revision, sent: [...sent], texts })
  }

  // --- what the page says ------------------------------------------------------------------------

  const clock = (moment) => new Intl.DateTimeFormat(document.documentElement.lang, {
    hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: t.zone }).format(new Date(moment))

  function say(text, { isTrouble = false } = {}) {
    status.textContent = text
    status.classList.toggle('trouble', isTrouble)
    // Only what changes the worker's situation is read out.
    if (isTrouble !== state.trouble) announcements.textContent = isTrouble ? text : t.textAgain
    state.trouble = isTrouble
  }

  function notice(name, isShown = true) {
    document.getElementById(`notice-${name}`).hidden = !isShown
  }

  function showChecked(answer) {
    state.faults = answer.faults ?? []
    showTouchedFaults()
    const missing = document.getElementById('missing')
    const lines = (answer.missing ?? []).map(([id, label]) => lineTo(id, label))
    missing.querySelector('ul').replaceChildren(...lines)
    missing.hidden = !lines.length
  }

  function showTouchedFaults() {
    const isTouched = ({ pointer }) => [...state.touched].some((one) => one === pointer || one.startsWith(`${pointer}/`))
    showFaults(fields, state.faults.filter(isTouched))
  }

  function lineTo(id, text) {
    const line = document.createElement('li'), link = document.createElement('a')
    link.href = `#${id}`
    link.textContent = text
    line.append(link)
    return line
  }

  function showProblems(problems) {
    summary.querySelector('ul').replaceChildren(
      ...problems.map((one) => lineTo(one.field_id, one.label ? `${one.label}: ${one.text}` : one.text)))
    summary.hidden = !problems.length
    if (problems.length) summary.focus()
  }

  // --- calls -------------------------------------------------------------------------------------

  // Return {status, body}; null where the server cannot be reached, or cannot answer now.
  async function call(name, body, { method = 'POST', isSecond = false, keepalive = false } = {}) {
    let response
    try {
      response = await fetch(`${t.base}${name}`, {
        method, keepalive, redirect: 'manual', signal: keepalive ? undefined : AbortSignal.timeout(PATIENCE),
        headers: { Accept: 'application/json', 'Content-Type': 'application/json', 'X-CSRFToken': state.token },
        body: body && JSON.stringify(body),
      })
    } catch {
      return null
    }
    if (response.type === 'opaqueredirect' || response.status === 401) {
      setSignedOut(true)
      return { status: 401, body: {} }
    }
    if (response.status === 403 && !isSecond && await refresh()) return call(name, body, { method, isSecond: true })
    if (response.status >= 500 || response.status === 429) return null
    let content = {}
    try { content = response.status === 204 ? {} : await response.json() } catch { /* a page, not JSON */ }
    return { status: response.status, body: content }
  }

  // Fetch a new token, and see who is signed in. Signing in again replaces the token.
  async function refresh({ withFields = false } = {}) {
    const answer = await call(withFields ? 'state?fields=1' : 'state', null, { method: 'GET', isSecond: true })
    if (answer?.status !== 200) return null
    if (answer.body.worker !== t.owner) { setSignedOut(true); return null }
    state.token = answer.body.token
    for (const one of document.querySelectorAll('[name=csrfmiddlewaretoken]')) one.value = state.token
    setSignedOut(false)
    return answer.body
  }

  function setSignedOut(isSignedOut) {
    state.isSignedOut = isSignedOut
    notice('signed-out', isSignedOut)
    if (isSignedOut) say(t.textUnsaved, { isTrouble: true })
  }

  function setLost(isLost) {
    state.isLost = isLost
    notice('lost', isLost)
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

  // Return whether the server has all that the page contains.
  async function saveAll() {
    while (isDirty()) {
      if (state.conflict || state.isGone) return false
      const edits = state.edits, found = collect()
      state.firstEdit = 0
      say(t.textSaving, { isTrouble: state.trouble })
      const answer = await sendDraft(found)
      if (answer === 'again') continue
      if (!answer) return false
      state.saved = edits
      await keep()
      channel.postMessage({ kind: 'saved', revision: state.revision })
      showChecked(answer)
      if (!isDirty()) say(`${t.textSaved} ${clock(answer.saved_at)}`)
    }
    return true
  }

  // Send the fields. Return the answer once they are stored, 'again' to send once more, or null.
  async function sendDraft(found) {
    const text = canonical(found)
    state.sent = [...state.sent.filter((one) => one !== text), text].slice(-5)
    await keep(found)
    const answer = await call('draft', { epoch: state.epoch, revision: state.revision, form: found })
    if (answer?.status === 200) {
      Object.assign(state, { revision: answer.body.revision, sent: [], failures: 0 })
      form.elements.revision.value = state.revision
      if (answer.body.is_started) setStarted()
      setLost(!answer.body.is_held)
      return answer.body
    }
    if (answer?.body.code === 'draft_changed' && adopt(answer.body.draft)) return 'again'
    refused(answer)
    return null
  }

  // Go on from the stored draft if it is one of those that we sent; else show both.
  function adopt(stored, mine = null) {
    const revision = stored?.revision ?? 0
    if (state.sent.includes(canonical(stored?.form)) || canonical(stored?.form) === canonical(mine ?? collect())) {
      state.revision = revision
      return true
    }
    showConflict(mine ?? collect(), stored ?? { revision: 0, form: {} }, mine !== null)
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
    const found = collect(), text = canonical(found)
    state.sent = [...state.sent.filter((one) => one !== text), text].slice(-5)
    keep(found)
    if (!state.saving && text.length < KEEPALIVE_BYTES) {
      const body = { epoch: state.epoch, revision: state.revision, form: found }
      call('draft', body, { keepalive: true, isSecond: true })
    }
  }

  function setStarted() {
    document.getElementById('start-form')?.remove()
    document.getElementById('submit-button').classList.remove('secondary')
  }

  // --- two versions ------------------------------------------------------------------------------

  function labelOf(name) {
    const field = form.elements[name]
    const one = field instanceof RadioNodeList ? field[0] : field
    return one?.closest('fieldset')?.querySelector('legend') && one.type === 'radio'
      ? one.closest('fieldset').querySelector('legend').textContent
      : one?.labels?.[0]?.textContent ?? name.replace(/^output\/?/, '').replaceAll('/', ' › ')
  }

  // `isStored`: mine is what this device kept, not what the fields contain.
  function showConflict(mine, theirs, isStored) {
    state.conflict = { mine, theirs, isStored }
    const section = document.getElementById('conflict'), template = section.querySelector('template')
    const names = [...new Set([...Object.keys(mine), ...Object.keys(theirs.form)])]
    const text = (found, name) => (found[name] ?? []).join(', ') || t.textEmpty
    const lines = names.filter((name) => text(mine, name) !== text(theirs.form, name)).map((name) => {
      const line = template.content.cloneNode(true)
      line.querySelector('dt').textContent = labelOf(name)
      line.querySelector('[data-mine]').textContent = text(mine, name)
      line.querySelector('[data-theirs]').textContent = text(theirs.form, name)
      return line
    })
    section.querySelector('.versions').replaceChildren(...lines)
    section.hidden = false
    section.focus()
    say(t.textUnsaved, { isTrouble: true })
  }

  async function choose(isMine) {
    const { mine, theirs, isStored } = state.conflict
    document.getElementById('conflict').hidden = true
    state.conflict = null
    state.revision = theirs.revision
    if (isMine && isStored) return restore(mine)
    fields.inert = false
    if (isMine) {
      state.edits += 1
      return save()
    }
    state.saved = state.edits
    await keep()
    return loadFields()
  }

  // --- loading the fields again ------------------------------------------------------------------

  async function loadFields() {
    const known = await refresh({ withFields: true })
    if (known?.ended) return location.reload()
    if (!known?.html) return false
    const focused = document.activeElement?.id
    fields.innerHTML = known.html
    attach(fields)
    fields.inert = false
    state.revision = known.draft?.revision ?? 0
    form.elements.revision.value = state.revision
    showChecked(known)
    if (focused) document.getElementById(focused)?.focus()
    if (known.draft) say(`${t.textSaved} ${clock(known.draft.saved_at)}`)
    return true
  }

  // Save what this device kept, then show it.
  async function restore(found) {
    fields.inert = true
    say(t.textRestoring, { isTrouble: state.trouble })
    for (let tries = 0; ; tries += 1) {
      const answer = await sendKept(found)
      if (answer === 'again') continue
      if (answer && await loadFields()) break
      if (state.conflict || state.isGone) return
      await new Promise((done) => setTimeout(done, RETRY_AFTER[Math.min(tries, RETRY_AFTER.length - 1)]))
      if (state.isSignedOut) await refresh()
    }
    state.saved = state.edits
    await keep()
    announcements.textContent = t.textRestored
  }

  async function sendKept(found) {
    state.sent = [...new Set([...state.sent, canonical(found)])]
    await store.put('drafts', KEY, { form: found, epoch: state.epoch, revision: state.revision, sent: state.sent, texts: keptTexts() })
    const answer = await call('draft', { epoch: state.epoch, revision: state.revision, form: found })
    if (answer?.status === 200) {
      Object.assign(state, { revision: answer.body.revision, sent: [] })
      return answer.body
    }
    if (answer?.body.code === 'draft_changed' && adopt(answer.body.draft, found)) return 'again'
    if (answer && answer.status !== 401 && !state.conflict) refused(answer)
    else if (!answer) say(navigator.onLine ? t.textUnsaved : t.textOffline, { isTrouble: true })
    return null
  }

  // What another tab or device saved. It is shown at once unless something is typed here.
  async function changedElsewhere(revision) {
    if (revision <= state.revision || state.saving || state.conflict || fields.inert) return
    if (!isDirty()) await loadFields()
  }

  // --- submitting --------------------------------------------------------------------------------

  async function submit() {
    clearTimeout(state.waiting)
    state.submits = true
    const isSaved = await save()
    if (!isSaved || state.conflict) {
      if (!state.conflict && !state.isSignedOut && !state.isGone) return unsent()
      state.submits = false
      return undefined
    }
    if (evidence) { say(t.textFiles); await evidence.settled() }
    say(t.textSending, { isTrouble: state.trouble })
    const found = collect()
    const answer = await call('submit', { epoch: state.epoch, revision: state.revision, form: found })
    if (!answer) return unsent()
    state.submits = false
    if (answer.status === 200) return leave(answer.body.location)
    if (answer.status === 422) {
      state.revision = answer.body.revision ?? state.revision
      for (const { pointer } of answer.body.faults) state.touched.add(pointer)
      state.faults = answer.body.faults
      showTouchedFaults()
      say(t.textSaved)
      return showProblems(answer.body.problems)
    }
    if (answer.body.code === 'draft_changed' && adopt(answer.body.draft)) return submit()
    return refused(answer)
  }

  function unsent() {
    say(t.textUnsent, { isTrouble: true })
    retry()
  }

  async function leave(location_) {
    state.saved = state.edits
    await store.remove('drafts', KEY)
    channel.postMessage({ kind: 'submitted' })
    location.assign(location_)
  }

  // --- files -------------------------------------------------------------------------------------

  let evidence = null
  async function withEvidence() {
    const { attachEvidence } = await import(t.evidenceScript)
    evidence ??= attachEvidence({ key: KEY, base: t.base, store, epoch: state.epoch, token: () => state.token, refresh })
    return evidence
  }
  const section = document.getElementById('evidence')
  section.addEventListener('change', async (event) => {
    const files = [...(event.target.files ?? [])]
    event.target.value = ''
    if (files.length) (await withEvidence()).add(files)
  })
  section.addEventListener('dragover', (event) => { event.preventDefault(); section.classList.add('over') })
  section.addEventListener('dragleave', () => section.classList.remove('over'))
  section.addEventListener('drop', async (event) => {
    event.preventDefault()
    section.classList.remove('over')
    const files = [...event.dataTransfer.files]
    if (files.length) (await withEvidence()).add(files)
  })

  // --- questions ---------------------------------------------------------------------------------

  const questions = document.getElementById('questions'), question = document.getElementById('question')
  async function loadThread(body) {
    const error = document.getElementById('question-error')
    const answer = await fetch(questions.dataset.thread, {
      method: body ? 'POST' : 'GET', body, redirect: 'manual', headers: { Accept: 'application/json', 'X-CSRFToken': state.token },
    }).catch(() => null)
    error.hidden = Boolean(answer?.ok) || !body
    if (!answer?.ok) {
      error.textContent = answer?.status === 422 ? (await answer.json()).detail : questions.dataset.failed
      return
    }
    document.getElementById('thread').innerHTML = await answer.text()
    if (body) {
      question.value = ''
      keep()
    }
  }
  document.getElementById('question-form').addEventListener('submit', (event) => {
    event.preventDefault()
    loadThread(new FormData(event.target))
  })
  import(questions.dataset.script).then(({ live }) => live?.on('messages', (ids) => {
    if (!ids?.length || ids.includes(questions.dataset.task)) loadThread()
  }))

  // --- what happens ------------------------------------------------------------------------------

  function edited() {
    state.edits += 1
    if (state.submits) { state.submits = false; announcements.textContent = t.textChanged }
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
    if (!isDirty()) showTouchedFaults()
  })
  for (const one of document.querySelectorAll('[data-keep]')) one.addEventListener('input', () => keep())
  form.addEventListener('submit', (event) => { event.preventDefault(); submit() })
  document.querySelector('[data-keep-mine]').addEventListener('click', () => choose(true))
  document.querySelector('[data-take-theirs]').addEventListener('click', () => choose(false))
  for (const one of document.querySelectorAll('[data-copy]')) {
    one.addEventListener('click', () => navigator.clipboard.writeText(
      Object.entries(collect()).map(([name, texts]) => `${labelOf(name)}: ${texts.join(', ')}`).join('\n')))
  }
  // A link to a field leads into it, also where it is a group.
  root.addEventListener('click', (event) => {
    const link = event.target.closest('a[href^="#"]')
    const field = link && document.getElementById(link.hash.slice(1))
    if (!field) return
    event.preventDefault()
    field.focus()
    field.scrollIntoView({ block: 'center' })
  })
  for (const one of document.querySelectorAll('form[data-send]')) {
    one.addEventListener('submit', async () => {
      flush()
      await store.remove('drafts', KEY)
    })
  }
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
  setInterval(beat, BEAT_EVERY)

  // --- the beginning -----------------------------------------------------------------------------

  attach(fields)
  // What was typed before this script ran.
  const isTyped = [...form.elements].some((one) => one.name?.startsWith('output') && (
    one.type === 'checkbox' || one.type === 'radio' ? one.checked !== one.defaultChecked
      : one.type?.startsWith('select') ? [...one.options].some((o) => o.selected !== o.defaultSelected) && one.selectedIndex > 0
        : one.value !== one.defaultValue))
  const kept = await store.get('drafts', KEY)
  for (const [id, text] of Object.entries(kept?.texts ?? {})) {
    const field = document.getElementById(id)
    if (field && !field.value) field.value = text
  }
  if (kept?.form && canonical(kept.form) !== canonical(collect())) {
    state.revision = kept.revision
    state.sent = kept.sent
    if (isTyped) showConflict(kept.form, { revision: Number(t.revision), form: collect() }, true)
    else await restore(kept.form)
  } else {
    if (kept?.form) await keep()
    fields.inert = false
    if (isTyped) edited()
  }
  for (const one of section.querySelectorAll('[data-evidence]')) {
    const thumb = await store.get('thumbs', one.dataset.evidence)
    if (thumb) one.prepend(Object.assign(new Image(48, 48), { src: thumb, alt: '', className: 'thumb' }))
  }
  const uploads = await store.all('uploads')
  if (uploads?.some((one) => one.key === KEY)) (await withEvidence()).resume()
}
