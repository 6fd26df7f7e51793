// What the page of a task consists of: the store on this device, what the page contains and says,
// calls of the server, files that are chosen, and the thread.

export const RETRY_AFTER = [1000, 2000, 4000, 8000, 15_000, 30_000]
const PATIENCE = 20_000

/** Wait before try number `tries`, or less where the connection comes back. */
export function pause(tries) {
  return new Promise((done) => {
    const timer = setTimeout(done, RETRY_AFTER[Math.min(tries, RETRY_AFTER.length - 1)])
    addEventListener('online', () => { clearTimeout(timer); done() }, { once: true })
  })
}

/** Import a script when it is needed. It may have to wait for the connection: `waits` is called then. */
export async function load(address, waits = () => {}) {
  for (let tries = 0; ; tries += 1) {
    // A browser may remember that a file did not come: it is asked for by another address then.
    try { return await import(tries ? `${address}?${tries}` : address) } catch { waits() }
    await pause(tries)
  }
}

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

export const store = {
  get: (kind, key) => withStore(kind, 'readonly', (s) => s.get(key)),
  all: (kind) => withStore(kind, 'readonly', (s) => s.getAll()),
  keys: (kind) => withStore(kind, 'readonly', (s) => s.getAllKeys()),
  put: (kind, key, value) => withStore(kind, 'readwrite', (s) => s.put(value, key)),
  remove: (kind, key) => withStore(kind, 'readwrite', (s) => s.delete(key)),
}

/** Return what the page of a task contains, says and calls. `state` is shared with its script. */
export function partsOf({ t, form, fields, state, showFaults }) {
  const summary = document.getElementById('problems')
  const status = document.getElementById('save-status')
  const announcements = document.getElementById('announcements')

  // --- what the page contains --------------------------------------------------------------------

  function collect() {
    const found = {}
    for (const [name, value] of new FormData(form)) {
      if (name === 'output' || name.startsWith('output/')) (found[name] ??= []).push(value)
    }
    return found
  }
  const canonical = (found) => JSON.stringify(Object.entries(found ?? {}))

  // Return whether something was typed before the script ran.
  function isTyped() {
    return [...form.elements].some((one) => one.name?.startsWith('output') && (
      one.type === 'checkbox' || one.type === 'radio' ? one.checked !== one.defaultChecked
        : one.type?.startsWith('select') ? [...one.options].some((o) => o.selected !== o.defaultSelected) && one.selectedIndex > 0
          : one.value !== one.defaultValue))
  }

  function labelOf(name) {
    const field = form.elements[name]
    const one = field instanceof RadioNodeList ? field[0] : field
    return one?.closest('fieldset')?.querySelector('legend') && one.type === 'radio'
      ? one.closest('fieldset').querySelector('legend').textContent
      : one?.labels?.[0]?.textContent ?? name.replace(/^output\/?/, '').replace(/\/?~left\/\d+/g, '').replaceAll('/', ' › ')
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

  // The bar is always in view; the notice may not be.
  const titleOf = (name) => document.querySelector(`#notice-${name} h2`).textContent

  function sayStored(moment) {
    const stored = `${t.textSaved} ${clock(moment)}`
    say(state.isLost ? `${titleOf('lost')}. ${stored}` : stored, { isTrouble: state.isLost })
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

  function attachLinks(root) {
    for (const one of document.querySelectorAll('[data-copy]')) {
      one.addEventListener('click', () => navigator.clipboard.writeText(
        Object.entries(state.held ?? collect()).map(([name, texts]) => `${labelOf(name)}: ${texts.join(', ')}`).join('\n')))
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
    // What the page shows is answered by 200 (`problem` in apps/portal/calls.py).
    return { status: content.refused ?? response.status, body: content }
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
    if (isSignedOut) say(`${titleOf('signed-out')}. ${t.textUnsaved}`, { isTrouble: true })
  }

  function setLost(isLost) {
    state.isLost = isLost
    notice('lost', isLost)
    for (const id of ['start-form', 'submit-button']) document.getElementById(id)?.toggleAttribute('hidden', isLost)
    const held = document.querySelector('[data-held-until]')
    if (held) held.hidden = isLost
  }

  return {
    collect, canonical, isTyped, labelOf, clock, say, sayStored, notice, showChecked, showTouchedFaults, showProblems,
    attachLinks, call, refresh, setLost, announce: (text) => { announcements.textContent = text },
  }
}

/** Take care of files, from the moment they are chosen until the server has answered. */
export function filesOf({ t, key, state, say, refresh, stored }) {
  const section = document.getElementById('evidence')
  let evidence = null, uploading = Promise.resolve(), pending = 0

  async function withEvidence() {
    const { attachEvidence } = await load(t.evidenceScript)
    evidence ??= attachEvidence({
      key, base: t.base, store, epoch: state.epoch, token: () => state.token, refresh, stored,
    })
    return evidence
  }

  function add(list) {
    const files = [...(list ?? [])]
    if (files.length) track(withEvidence().then((one) => one.add(files)))
  }

  function track(promise) {
    pending += 1
    uploading = Promise.all([uploading, promise.finally(() => { pending -= 1 })])
  }

  // Go on with what an earlier page has not uploaded.
  const resume = () => track(resumeUploads())
  async function resumeUploads() {
    const uploads = await store.all('uploads')
    if (uploads?.some((one) => one.key === key)) await (await withEvidence()).resume()
  }

  // Return whether the server has all files. One that it refused is shown, once.
  async function areSent() {
    let seen = null
    while (seen !== uploading) {
      seen = uploading
      if (pending) say(t.textFiles)
      await seen
    }
    const refused = evidence?.takeRefused()
    if (!refused) return true
    say(document.getElementById('evidence-texts').dataset.textFailed, { isTrouble: true })
    refused.focus()
    return false
  }

  async function showThumbs() {
    for (const one of section.querySelectorAll('[data-evidence]')) {
      const thumb = await store.get('thumbs', one.dataset.evidence)
      if (thumb) one.prepend(Object.assign(new Image(48, 48), { src: thumb.url, alt: '', className: 'thumb' }))
    }
  }

  section.addEventListener('change', ({ target }) => {
    add(target.files)
    target.value = ''
  })
  section.addEventListener('dragover', (event) => { event.preventDefault(); section.classList.add('over') })
  section.addEventListener('dragleave', () => section.classList.remove('over'))
  section.addEventListener('drop', (event) => {
    event.preventDefault()
    section.classList.remove('over')
    add(event.dataTransfer.files)
  })
  return { areSent, resume, showThumbs }
}

/** Send what is asked, and follow what is said in the thread. */
export function watchThread({ state, keep }) {
  const questions = document.getElementById('questions')
  async function loadThread(body) {
    (await load(questions.dataset.loader)).loadThread({ questions, state, keep, body })
  }
  document.getElementById('question-form').addEventListener('submit', (event) => {
    event.preventDefault()
    loadThread(new FormData(event.target))
  })
  // Where anything may have changed, as with each new connection, it waits until the thread is seen.
  const seen = new IntersectionObserver(([{ isIntersecting }]) => {
    if (!isIntersecting) return
    seen.disconnect()
    loadThread()
  })
  import(questions.dataset.script).then(({ live }) => live?.on('messages', (ids) => {
    if (!ids?.length) seen.observe(questions)
    else if (ids.includes(questions.dataset.task)) loadThread()
  }))
}
