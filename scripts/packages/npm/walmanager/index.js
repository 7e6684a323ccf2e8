// walmanager for Node.js: loads the SQLite extension that lies in the package of this platform.
//
// The package walmanager has no binary. npm installs the one of @walmanager/linux-x64-gnu and its sisters that fits this
// machine, because they are optional dependencies with os, cpu and libc. Every error says what to do.
'use strict';

const path = require('node:path');

const OTHERS = 'There are binaries for Linux on x64 and arm64, with glibc 2.28 or newer or with musl.';

let knownLibcs;  // a report takes milliseconds, so there is one for all loads

// With both libraries installed (an npm older than 9.6 does not know libc), that of this process decides.
function libcs() {
  if (!knownLibcs) {
    const header = process.report && reportHeader(process.report);
    knownLibcs = header && !header.glibcVersionRuntime ? ['musl', 'gnu'] : ['gnu', 'musl'];
  }
  return knownLibcs;
}

// Without the network, where Node.js can leave it out: a report asks a name server for the name of each peer.
function reportHeader(report) {
  if (!('excludeNetwork' in report)) return report.getReport().header;
  const before = report.excludeNetwork;
  report.excludeNetwork = true;
  try {
    return report.getReport().header;
  } finally {
    report.excludeNetwork = before;
  }
}

function folder() {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    throw new Error(`walmanager: there is no binary for ${process.platform} on ${process.arch}. ${OTHERS}`);
  }
  const wanted = libcs().map((libc) => `@walmanager/linux-${process.arch}-${libc}`);
  for (const name of wanted) {
    try {
      return path.dirname(require.resolve(`${name}/package.json`));
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  throw new Error(`walmanager: the package ${wanted[0]} is not installed. Install it: npm install ${wanted[0]}. ` +
    'npm leaves it out with --omit=optional, and where package-lock.json was made on another platform.');
}

/** The path of walmanager.so, for whatever loads SQLite extensions. */
function loadablePath() {
  return path.join(folder(), 'walmanager.so');
}

/** The path of walmanagerprocess.so, which manages every connection that the process opens later, too. */
function processLoadablePath() {
  return path.join(folder(), 'walmanagerprocess.so');
}

// What SQLite or the loader of the system says, and what to do.
function explained(error, file) {
  const text = String((error && error.message) || error).replace(/\.$/, '');
  let todo = '';
  if (/failed to map segment|Operation not permitted/.test(text)) {
    todo = `No code may run from ${path.dirname(file)}, whose file system is mounted noexec. Install the package in another folder.`;
  } else if (/GLIBC_|libc\.musl|ld-linux|libc\.so/.test(text)) {
    todo = `The package is for another C library than this system has. ${OTHERS} Install it anew on this system.`;
  } else if (/ELF|file too short|cannot open shared object file/.test(text)) {
    todo = 'The package is for another machine than this one, or incomplete. Delete node_modules and install it anew on this machine.';
  } else if (/another copy of SQLite/.test(text)) {
    todo = 'One process can use the extension with one SQLite only: with better-sqlite3, node:sqlite or sqlite3, not with two of them.';
  } else if (/3\.34\.0 or newer/.test(text)) {
    todo = 'Use a newer version of the SQLite package.';
  }
  const said = new Error(`walmanager: ${text.replace(/^walmanager: /, '')}. ${todo}`.trim());
  said.cause = error;
  return said;
}

// node-sqlite3 calls back. Its wrapper, the package sqlite, has the same methods, but returns a promise and calls nothing.
function callsBack(db) {
  return typeof db.configure === 'function' && typeof db.parallelize === 'function';
}

function loadNow(db, name) {
  try {
    return db.loadExtension(name);
  } catch (error) {
    // node:sqlite, where the program has turned loading off after it opened the database.
    if (typeof db.enableLoadExtension !== 'function' || !/^(extension loading is not allowed|not authorized)$/.test(error.message)) throw error;
  }
  try {
    db.enableLoadExtension(true);
  } catch (error) {
    throw Object.assign(new Error('node:sqlite allows no extensions on this connection. Open it with new DatabaseSync(path, { allowExtension: true })'),
      { cause: error });
  }
  try {
    return db.loadExtension(name);
  } finally {
    db.enableLoadExtension(false);
  }
}

/**
 * Makes walmanager manage the connection of better-sqlite3, node:sqlite, sqlite3 or sqlite. For the last two it calls back, or
 * returns a promise where there is no callback. A second load does nothing.
 */
function load(db, callback) {
  if (!db || typeof db.loadExtension !== 'function') {
    throw new TypeError('walmanager: load() needs a connection of better-sqlite3, node:sqlite or sqlite3: an object with loadExtension().');
  }
  const file = loadablePath();
  // SQLite tries the name as it is and then with .so, and tells why the second one failed.
  const name = file.slice(0, -'.so'.length);
  if (callsBack(db)) {
    const loaded = new Promise((resolve, reject) => {
      const returned = db.loadExtension(name, (error) => (error ? reject(explained(error, file)) : resolve()));
      if (returned && typeof returned.then === 'function') returned.then(() => resolve(), (error) => reject(explained(error, file)));
    });
    if (typeof callback !== 'function') return loaded;
    // Outside of the promise, so that what the callback throws is the program's error as ever.
    loaded.then(() => setImmediate(callback, null), (error) => setImmediate(callback, error));
    return undefined;
  }
  let result;
  try {
    result = loadNow(db, name);
  } catch (error) {
    throw explained(error, file);
  }
  // Another wrapper with promises.
  if (result && typeof result.then === 'function') {
    return result.then(() => undefined, (error) => { throw explained(error, file); });
  }
  return undefined;
}

exports.load = load;
exports.loadablePath = loadablePath;
exports.processLoadablePath = processLoadablePath;
