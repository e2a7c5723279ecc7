/* SPDX-License-Identifier: MIT */
/*
 * GL functions beyond version 1.1, by glXGetProcAddress, and contexts on one X display.
 */

#ifndef GL_H
#define GL_H

#include <GL/gl.h>
#include <GL/glext.h>
#include <GL/glx.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(type, name) for each function. */
#define GL_FUNCTIONS(X)                                                         \
   X(PFNGLACTIVETEXTUREPROC, glActiveTexture)                                   \
   X(PFNGLATTACHSHADERPROC, glAttachShader)                                     \
   X(PFNGLBEGINCONDITIONALRENDERPROC, glBeginConditionalRender)                 \
   X(PFNGLBEGINQUERYPROC, glBeginQuery)                                         \
   X(PFNGLBEGINTRANSFORMFEEDBACKPROC, glBeginTransformFeedback)                 \
   X(PFNGLBINDATTRIBLOCATIONPROC, glBindAttribLocation)                         \
   X(PFNGLBINDBUFFERBASEPROC, glBindBufferBase)                                 \
   X(PFNGLBINDBUFFERPROC, glBindBuffer)                                         \
   X(PFNGLBINDFRAMEBUFFERPROC, glBindFramebuffer)                               \
   X(PFNGLBINDRENDERBUFFERPROC, glBindRenderbuffer)                             \
   X(PFNGLBLITFRAMEBUFFERPROC, glBlitFramebuffer)                               \
   X(PFNGLBUFFERDATAPROC, glBufferData)                                         \
   X(PFNGLBUFFERSTORAGEPROC, glBufferStorage)                                   \
   X(PFNGLBUFFERSUBDATAPROC, glBufferSubData)                                   \
   X(PFNGLCHECKFRAMEBUFFERSTATUSPROC, glCheckFramebufferStatus)                 \
   X(PFNGLCLIENTWAITSYNCPROC, glClientWaitSync)                                 \
   X(PFNGLCOMPILESHADERPROC, glCompileShader)                                   \
   X(PFNGLCOPYBUFFERSUBDATAPROC, glCopyBufferSubData)                           \
   X(PFNGLCREATEPROGRAMPROC, glCreateProgram)                                   \
   X(PFNGLCREATESHADERPROC, glCreateShader)                                     \
   X(PFNGLDELETEBUFFERSPROC, glDeleteBuffers)                                   \
   X(PFNGLDELETEFRAMEBUFFERSPROC, glDeleteFramebuffers)                         \
   X(PFNGLDELETEPROGRAMPROC, glDeleteProgram)                                   \
   X(PFNGLDELETEQUERIESPROC, glDeleteQueries)                                   \
   X(PFNGLDELETERENDERBUFFERSPROC, glDeleteRenderbuffers)                       \
   X(PFNGLDELETESHADERPROC, glDeleteShader)                                     \
   X(PFNGLDELETESYNCPROC, glDeleteSync)                                         \
   X(PFNGLENABLEVERTEXATTRIBARRAYPROC, glEnableVertexAttribArray)               \
   X(PFNGLENDCONDITIONALRENDERPROC, glEndConditionalRender)                     \
   X(PFNGLENDQUERYPROC, glEndQuery)                                             \
   X(PFNGLENDTRANSFORMFEEDBACKPROC, glEndTransformFeedback)                     \
   X(PFNGLFENCESYNCPROC, glFenceSync)                                           \
   X(PFNGLFLUSHMAPPEDBUFFERRANGEPROC, glFlushMappedBufferRange)                 \
   X(PFNGLFRAMEBUFFERRENDERBUFFERPROC, glFramebufferRenderbuffer)               \
   X(PFNGLFRAMEBUFFERTEXTURE2DPROC, glFramebufferTexture2D)                     \
   X(PFNGLGENBUFFERSPROC, glGenBuffers)                                         \
   X(PFNGLGENERATEMIPMAPPROC, glGenerateMipmap)                                 \
   X(PFNGLGENFRAMEBUFFERSPROC, glGenFramebuffers)                               \
   X(PFNGLGENQUERIESPROC, glGenQueries)                                         \
   X(PFNGLGENRENDERBUFFERSPROC, glGenRenderbuffers)                             \
   X(PFNGLGETBUFFERSUBDATAPROC, glGetBufferSubData)                             \
   X(PFNGLGETQUERYOBJECTUIVPROC, glGetQueryObjectuiv)                           \
   X(PFNGLGETSHADERIVPROC, glGetShaderiv)                                       \
   X(PFNGLGETUNIFORMLOCATIONPROC, glGetUniformLocation)                         \
   X(PFNGLLINKPROGRAMPROC, glLinkProgram)                                       \
   X(PFNGLMAPBUFFERPROC, glMapBuffer)                                           \
   X(PFNGLMAPBUFFERRANGEPROC, glMapBufferRange)                                 \
   X(PFNGLQUERYCOUNTERPROC, glQueryCounter)                                     \
   X(PFNGLRENDERBUFFERSTORAGEMULTISAMPLEPROC, glRenderbufferStorageMultisample) \
   X(PFNGLRENDERBUFFERSTORAGEPROC, glRenderbufferStorage)                       \
   X(PFNGLSHADERSOURCEPROC, glShaderSource)                                     \
   X(PFNGLTEXBUFFERPROC, glTexBuffer)                                           \
   X(PFNGLTEXIMAGE3DPROC, glTexImage3D)                                         \
   X(PFNGLTEXSUBIMAGE3DPROC, glTexSubImage3D)                                   \
   X(PFNGLTRANSFORMFEEDBACKVARYINGSPROC, glTransformFeedbackVaryings)           \
   X(PFNGLUNIFORM1IPROC, glUniform1i)                                           \
   X(PFNGLUNMAPBUFFERPROC, glUnmapBuffer)                                       \
   X(PFNGLUSEPROGRAMPROC, glUseProgram)                                         \
   X(PFNGLVERTEXATTRIBPOINTERPROC, glVertexAttribPointer)

/* Called as members, so that libGL need not export them. */
struct gl_functions {
#define X(type, name) type name;
   GL_FUNCTIONS(X)
#undef X
};

extern struct gl_functions gl;

/* Ends the program with a line on standard error. */
void fail(const char *what);

/* Opens the display of $DISPLAY, and loads the functions with a first context, which becomes current. */
GLXContext gl_start(void);

/* A context that shares with another, or NULL, each on a drawable of its own. */
GLXContext gl_context(GLXContext share);

/* Makes a context current in this thread, or none with NULL. */
void gl_use(GLXContext context);

void gl_destroy(GLXContext context);

/* Closes the display, after the last context: the driver's screen goes, and its pools. */
void gl_end(void);

bool gl_has(const char *extension);

/* A vertex and a fragment shader: a program. Attribute 0 is "position", 1 is "colour". */
GLuint gl_program(const char *vertex, const char *fragment);

/* FNV-1a. */
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count);
#define HASH_START UINT64_C(14695981039346656037)

#endif
