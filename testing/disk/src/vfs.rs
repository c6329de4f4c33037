//! The disk as a SQLite VFS: the C interface, and nothing else. Decides nothing.
//!
//! A VFS that SQLite knows is never freed: a connection may point to it as long as the process
//! lives. Slots are used again instead, once no file of theirs is open.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::ffi;

use crate::state::{Disk, Failure, Lock, full_path};
use crate::{SECTOR_BYTES, lock};

const PATH_BYTES_MAX: c_int = 512;

/// A registered VFS.
#[derive(Clone, Copy)]
pub(crate) struct Slot(&'static Registered);

struct Registered {
    name: CString,
    mounted: Mutex<Option<Arc<Mutex<Disk>>>>,
}

static FREE: Mutex<Vec<Slot>> = Mutex::new(Vec::new());
static COUNT: AtomicU64 = AtomicU64::new(0);
static HANDLES: AtomicU64 = AtomicU64::new(0);

impl Slot {
    pub(crate) fn name(self) -> &'static str {
        self.0.name.to_str().unwrap_or_default()
    }

    fn set(self, disk: Option<Arc<Mutex<Disk>>>) {
        *self
            .0
            .mounted
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = disk;
    }
}

/// Gives a disk a name that SQLite knows.
pub(crate) fn mount(disk: Arc<Mutex<Disk>>) -> Slot {
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let slot = free.unwrap_or_else(register);
    slot.set(Some(disk));
    slot
}

/// Takes the name back. One that open files still need is never given again.
pub(crate) fn unmount(slot: Slot, used: bool) {
    slot.set(None);
    if !used {
        FREE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(slot);
    }
}

fn register() -> Slot {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    // The format holds no zero byte.
    let name = CString::new(format!("stead-sim-{number}")).unwrap_or_default();
    let registered: &'static Registered = Box::leak(Box::new(Registered {
        name,
        mounted: Mutex::new(None),
    }));
    let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<File>() as c_int,
        mxPathname: PATH_BYTES_MAX,
        pNext: ptr::null_mut(),
        zName: registered.name.as_ptr(),
        pAppData: ptr::from_ref(registered).cast_mut().cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: Some(current_time_ms),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }));
    // SAFETY: the struct and everything it points to live as long as the process.
    let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
    assert_eq!(code, ffi::SQLITE_OK, "SQLite takes a VFS");
    Slot(registered)
}

/// SQLite allocates `szOsFile` bytes and sees them as the first field.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

struct Handle {
    disk: Arc<Mutex<Disk>>,
    life: u64,
    inode: u64,
    number: u64,
    /// What happens to the name when the file is closed.
    delete: Option<String>,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock_file),
    xUnlock: Some(unlock_file),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// The disk in a slot, if one is mounted.
///
/// # Safety
/// `vfs` is one of ours, as SQLite promises to pass.
unsafe fn disk_of(vfs: *mut ffi::sqlite3_vfs) -> Option<Arc<Mutex<Disk>>> {
    // SAFETY: `register` set `pAppData` to a value that lives forever.
    let registered = unsafe { &*(*vfs).pAppData.cast::<Registered>() };
    let mounted = registered.mounted.lock();
    mounted.unwrap_or_else(PoisonError::into_inner).clone()
}

/// # Safety
/// `file` was opened by `open` and is not closed yet, as SQLite promises.
unsafe fn handle_of<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: `open` stored a boxed handle, and `close` is the last call SQLite makes. SQLite uses
    // one file from one thread at a time.
    unsafe { &mut *(*file.cast::<File>()).handle }
}

/// # Safety
/// `path` is a C string, as SQLite promises.
unsafe fn path_of(path: *const c_char) -> String {
    // SAFETY: as above.
    full_path(&unsafe { CStr::from_ptr(path) }.to_string_lossy())
}

fn code(result: Result<(), Failure>, io: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(Failure::Io) => io,
        Err(Failure::Full) => ffi::SQLITE_FULL,
        Err(Failure::Busy) => ffi::SQLITE_BUSY,
    }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a file of `szOsFile` bytes; no methods means it must not be closed.
    unsafe { (*file).pMethods = ptr::null() };
    // SAFETY: `vfs` is ours.
    let Some(disk) = (unsafe { disk_of(vfs) }) else {
        return ffi::SQLITE_CANTOPEN;
    };
    // SAFETY: a name that is not null is a C string.
    let path = (!name.is_null()).then(|| unsafe { path_of(name) });
    let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
    let (opened, life) = {
        let mut state = lock(&disk);
        (state.open(path.as_deref(), create), state.life)
    };
    let inode = match opened {
        Ok(Some(inode)) => inode,
        Ok(None) => return ffi::SQLITE_CANTOPEN,
        Err(_) => return ffi::SQLITE_IOERR,
    };
    let handle = Box::new(Handle {
        disk,
        life,
        inode,
        number: HANDLES.fetch_add(1, Ordering::Relaxed),
        delete: path.filter(|_| flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0),
    });
    // SAFETY: SQLite passes a file of `szOsFile` bytes, and room for the flags or null.
    unsafe {
        (*file.cast::<File>()).handle = Box::into_raw(handle);
        (*file).pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` made the box, and SQLite closes a file once.
    let handle = unsafe { Box::from_raw((*file.cast::<File>()).handle) };
    let mut disk = lock(&handle.disk);
    disk.close(handle.life, handle.inode, handle.number);
    if let Some(path) = &handle.delete {
        let _ = disk.delete(path, false);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    out: *mut c_void,
    len: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle_of(file) };
    let (Ok(at), Ok(len)) = (usize::try_from(at), usize::try_from(len)) else {
        return ffi::SQLITE_IOERR_READ;
    };
    // SAFETY: SQLite passes room for `len` bytes; zeroed here, so that they may be borrowed.
    let out = unsafe {
        ptr::write_bytes(out.cast::<u8>(), 0, len);
        std::slice::from_raw_parts_mut(out.cast::<u8>(), len)
    };
    let found = lock(&handle.disk).read_at(handle.life, handle.inode, at, out);
    match found {
        Ok(found) if found < len => ffi::SQLITE_IOERR_SHORT_READ,
        result => code(result.map(drop), ffi::SQLITE_IOERR_READ),
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    len: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle_of(file) };
    let (Ok(at), Ok(len)) = (usize::try_from(at), usize::try_from(len)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: SQLite passes `len` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), len) };
    let result = lock(&handle.disk).write_at(handle.life, handle.inode, at, bytes);
    code(result, ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: ffi::sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle_of(file) };
    let Ok(len) = usize::try_from(len) else {
        return ffi::SQLITE_IOERR_TRUNCATE;
    };
    let result = lock(&handle.disk).truncate(handle.life, handle.inode, len);
    code(result, ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle_of(file) };
    let result = lock(&handle.disk).sync(handle.life, handle.inode);
    code(result, ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(
    file: *mut ffi::sqlite3_file,
    out: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle_of(file) };
    match lock(&handle.disk).len(handle.life, handle.inode) {
        Ok(len) => {
            // SAFETY: SQLite passes room for the size.
            unsafe { *out = len as ffi::sqlite3_int64 };
            ffi::SQLITE_OK
        }
        Err(failure) => code(Err(failure), ffi::SQLITE_IOERR_FSTAT),
    }
}

fn level(number: c_int) -> Lock {
    match number {
        ffi::SQLITE_LOCK_SHARED => Lock::Shared,
        ffi::SQLITE_LOCK_RESERVED => Lock::Reserved,
        ffi::SQLITE_LOCK_PENDING => Lock::Pending,
        ffi::SQLITE_LOCK_EXCLUSIVE => Lock::Exclusive,
        _ => Lock::None,
    }
}

unsafe extern "C" fn lock_file(file: *mut ffi::sqlite3_file, wanted: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle_of(file) };
    let result = lock(&handle.disk).lock(handle.life, handle.inode, handle.number, level(wanted));
    code(result, ffi::SQLITE_IOERR_LOCK)
}

unsafe extern "C" fn unlock_file(file: *mut ffi::sqlite3_file, to: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle_of(file) };
    lock(&handle.disk).unlock(handle.life, handle.inode, handle.number, level(to));
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle_of(file) };
    match lock(&handle.disk).is_reserved(handle.life, handle.inode) {
        Ok(reserved) => {
            // SAFETY: SQLite passes room for the answer.
            unsafe { *out = c_int::from(reserved) };
            ffi::SQLITE_OK
        }
        Err(failure) => code(Err(failure), ffi::SQLITE_IOERR_CHECKRESERVEDLOCK),
    }
}

unsafe extern "C" fn file_control(
    _file: *mut ffi::sqlite3_file,
    _op: c_int,
    _arg: *mut c_void,
) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_BYTES as c_int
}

/// As on every common system: a torn write leaves the bytes around it alone.
unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_dir: c_int,
) -> c_int {
    // SAFETY: `vfs` is ours.
    let Some(disk) = (unsafe { disk_of(vfs) }) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    // SAFETY: the name is a C string.
    let path = unsafe { path_of(name) };
    match lock(&disk).delete(&path, sync_dir != 0) {
        Ok(true) => ffi::SQLITE_OK,
        Ok(false) => ffi::SQLITE_IOERR_DELETE_NOENT,
        Err(failure) => code(Err(failure), ffi::SQLITE_IOERR_DELETE),
    }
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: `vfs` is ours.
    let Some(disk) = (unsafe { disk_of(vfs) }) else {
        return ffi::SQLITE_IOERR_ACCESS;
    };
    // SAFETY: the name is a C string, and there is room for the answer.
    unsafe { *out = c_int::from(lock(&disk).exists(&path_of(name))) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: the name is a C string.
    let path = unsafe { path_of(name) };
    if path.len() >= usize::try_from(len).unwrap_or_default() {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: `out` has room for `len` bytes, more than the path and its end.
    unsafe {
        ptr::copy_nonoverlapping(path.as_ptr().cast(), out, path.len());
        *out.add(path.len()) = 0;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(vfs: *mut ffi::sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    // SAFETY: `vfs` is ours.
    let Some(disk) = (unsafe { disk_of(vfs) }) else {
        return 0;
    };
    for i in 0..usize::try_from(len).unwrap_or_default() {
        // SAFETY: `out` has room for `len` bytes.
        unsafe { *out.add(i) = lock(&disk).random() as c_char };
    }
    len
}

/// Nobody else can give way while we sleep, so nobody sleeps.
unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, micros: c_int) -> c_int {
    micros
}

/// Noon of 1 January 2000, always.
const JULIAN_DAY: f64 = 2_451_545.0;

unsafe extern "C" fn current_time(_vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: SQLite passes room for the time.
    unsafe { *out = JULIAN_DAY };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_ms(
    _vfs: *mut ffi::sqlite3_vfs,
    out: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes room for the time.
    unsafe { *out = (JULIAN_DAY * 86_400_000.0) as ffi::sqlite3_int64 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(
    _vfs: *mut ffi::sqlite3_vfs,
    _len: c_int,
    _out: *mut c_char,
) -> c_int {
    0
}
