// When what this page contains, what this device kept and what the server has differ: show both
// versions, and load the fields again. It is loaded when it is needed.

export function versionsOf({ t, form, fields, state, parts, attach, keep, noteSent, edited, adopt, refused, pause }) {
  const { collect, labelOf, say, sayStored, showChecked, call, refresh, announce } = parts
  const section = document.getElementById('conflict')

  // --- two versions ------------------------------------------------------------------------------

  // `theirs.isTyped`: it is what the fields contain, and the server does not have it.
  function showConflict(mine, theirs) {
    state.conflict = { mine, theirs }
    state.held = mine
    fields.inert = true
    keep()
    const template = section.querySelector('template')
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

  function keepMine() {
    const { mine, theirs } = state.conflict
    section.hidden = true
    state.conflict = null
    return restore(mine, theirs.revision)
  }

  // Mine is deleted once the other version is in the fields.
  async function takeTheirs() {
    const { mine, theirs } = state.conflict
    section.hidden = true
    if (!theirs.isTyped && !(await loadFields())) return showConflict(mine, theirs)
    // What was sent of mine may be stored only now: it is replaced by what the worker has chosen.
    const sent = theirs.isTyped ? state.sent : []
    Object.assign(state, { conflict: null, held: null, sent, saved: state.edits })
    fields.inert = false
    if (theirs.isTyped) { state.revision = theirs.revision; edited() }
    return keep()
  }

  // --- loading the fields again ------------------------------------------------------------------

  // Return whether they are loaded: not where something was typed or sent meanwhile.
  async function loadFields() {
    const { edits, conflict } = state
    const known = await refresh({ withFields: true })
    if (known?.ended) { location.reload(); return false }
    if (known?.html === undefined || state.edits !== edits || state.conflict !== conflict || state.submits) return false
    const focused = document.activeElement?.id
    fields.innerHTML = known.html
    attach(fields)
    state.revision = known.draft?.revision ?? 0
    form.elements.revision.value = state.revision
    showChecked(known)
    if (focused) document.getElementById(focused)?.focus()
    if (known.draft) sayStored(known.draft.saved_at)
    return true
  }

  // Save what this device kept in place of `revision`, then show it.
  async function restore(found, revision) {
    state.held = found
    state.revision = revision
    fields.inert = true
    say(t.textRestoring, { isTrouble: state.trouble })
    for (let tries = 0; ; tries += 1) {
      const answer = await sendKept(found)
      if (answer === 'again') continue
      if (state.conflict || state.isGone) return undefined
      if (answer === false) return putIntoFields(found)
      if (answer && await loadFields()) break
      await pause(tries)
      if (state.isSignedOut) await refresh()
    }
    Object.assign(state, { held: null, saved: state.edits })
    fields.inert = false
    await keep()
    announce(t.textRestored)
    return undefined
  }

  // Return the answer, 'again', false where it will never be accepted, or null to try again.
  async function sendKept(found) {
    await noteSent(found)
    const answer = await call('draft', { epoch: state.epoch, revision: state.revision, form: found })
    if (answer?.status === 200) {
      Object.assign(state, { revision: answer.body.revision, sent: [] })
      return answer.body
    }
    if (answer?.body.code === 'draft_changed' && await adopt(answer.body.draft)) return 'again'
    if (answer?.status === 401 || state.conflict) return null
    if (answer) { refused(answer); return false }
    say(navigator.onLine ? t.textUnsaved : t.textOffline, { isTrouble: true })
    return null
  }

  // The worker can shorten or correct it. What has no field of its own, as rows, gets one.
  function putIntoFields(found) {
    for (const [name, texts] of Object.entries(found)) {
      const own = [...form.elements].filter((one) => one.name === name && one.type !== 'hidden')
      const isChoice = own[0]?.type === 'checkbox' || own[0]?.type === 'radio'
      if (isChoice) for (const one of own) one.checked = texts.includes(one.value)
      else texts.forEach((text, place) => { (own[place] ?? addField(name)).value = text })
    }
    state.held = null
    fields.inert = false
    state.edits += 1
    return keep()
  }

  function addField(name) {
    const known = [...form.elements].find((one) => one.name === name && one.type === 'hidden')
    if (known) return known
    const field = Object.assign(document.createElement('textarea'), { name, rows: 2 })
    field.setAttribute('aria-label', labelOf(name))
    fields.append(field)
    return field
  }

  document.querySelector('[data-keep-mine]').addEventListener('click', keepMine)
  document.querySelector('[data-take-theirs]').addEventListener('click', takeTheirs)
  return { showConflict, loadFields, restore }
}
