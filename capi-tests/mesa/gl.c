/* SPDX-License-Identifier: MIT */
#include "gl.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <X11/Xlib.h>

#define MOST_CONTEXTS 64

struct gl_functions gl;

static Display *display;
static GLXFBConfig config;

/* A drawable of each context, as two threads must not draw to one. */
static struct {
   GLXContext context;
   GLXPbuffer drawable;
} contexts[MOST_CONTEXTS];
static pthread_mutex_t contexts_lock = PTHREAD_MUTEX_INITIALIZER;

void
fail(const char *what)
{
   fprintf(stderr, "%s\n", what);
   exit(1);
}

GLXContext
gl_context(GLXContext share)
{
   GLXContext context;
   int i;

   pthread_mutex_lock(&contexts_lock);
   context = glXCreateNewContext(display, config, GLX_RGBA_TYPE, share, True);
   if (!context)
      fail("no context");
   for (i = 0; i < MOST_CONTEXTS && contexts[i].context; i++)
      ;
   if (i == MOST_CONTEXTS)
      fail("too many contexts");
   contexts[i].context = context;
   contexts[i].drawable =
      glXCreatePbuffer(display, config, (const int[]){GLX_PBUFFER_WIDTH, 16, GLX_PBUFFER_HEIGHT, 16, None});
   pthread_mutex_unlock(&contexts_lock);
   return context;
}

static int
index_of(GLXContext context)
{
   int i;

   for (i = 0; contexts[i].context != context; i++)
      ;
   return i;
}

void
gl_use(GLXContext context)
{
   GLXPbuffer drawable = None;

   if (context) {
      pthread_mutex_lock(&contexts_lock);
      drawable = contexts[index_of(context)].drawable;
      pthread_mutex_unlock(&contexts_lock);
   }
   if (!glXMakeContextCurrent(display, drawable, drawable, context))
      fail("a context cannot be made current");
}

void
gl_destroy(GLXContext context)
{
   pthread_mutex_lock(&contexts_lock);
   int i = index_of(context);

   glXDestroyContext(display, context);
   glXDestroyPbuffer(display, contexts[i].drawable);
   contexts[i].context = NULL;
   pthread_mutex_unlock(&contexts_lock);
}

GLXContext
gl_start(void)
{
   GLXFBConfig *configs;
   GLXContext context;
   int count;

   XInitThreads();
   display = XOpenDisplay(NULL);
   if (!display)
      fail("no display");
   configs = glXChooseFBConfig(display, DefaultScreen(display),
                               (const int[]){GLX_DRAWABLE_TYPE, GLX_PBUFFER_BIT, GLX_RENDER_TYPE, GLX_RGBA_BIT,
                                             GLX_RED_SIZE, 8, GLX_DEPTH_SIZE, 24, None},
                               &count);
   if (!configs || count == 0)
      fail("no configuration of the framebuffer");
   config = configs[0];
   XFree(configs);
   context = gl_context(NULL);
   gl_use(context);

   /* By way of memory, as ISO C has no conversion from a pointer to a function to one to data. */
#define X(type, name)                                                        \
   {                                                                         \
      void (*function)(void) = glXGetProcAddressARB((const GLubyte *)#name); \
      memcpy(&gl.name, &function, sizeof function);                          \
   }
   GL_FUNCTIONS(X)
#undef X
   return context;
}

void
gl_end(void)
{
   XCloseDisplay(display);
}

bool
gl_has(const char *extension)
{
   const char *all = (const char *)glGetString(GL_EXTENSIONS);
   size_t length = strlen(extension);
   const char *found;

   for (found = all; (found = strstr(found, extension)); found += length)
      if (found[length] == ' ' || found[length] == 0)
         return true;
   return false;
}

static GLuint
shader(GLenum kind, const char *text)
{
   GLuint made = gl.glCreateShader(kind);
   GLint good;

   gl.glShaderSource(made, 1, &text, NULL);
   gl.glCompileShader(made);
   gl.glGetShaderiv(made, GL_COMPILE_STATUS, &good);
   if (!good)
      fail("a shader does not compile");
   return made;
}

GLuint
gl_program(const char *vertex, const char *fragment)
{
   GLuint program = gl.glCreateProgram();
   GLuint parts[2] = {shader(GL_VERTEX_SHADER, vertex), shader(GL_FRAGMENT_SHADER, fragment)};

   for (int i = 0; i < 2; i++) {
      gl.glAttachShader(program, parts[i]);
      gl.glDeleteShader(parts[i]);
   }
   gl.glBindAttribLocation(program, 0, "position");
   gl.glBindAttribLocation(program, 1, "colour");
   gl.glLinkProgram(program);
   return program;
}

uint64_t
hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
   const unsigned char *byte = bytes;

   for (size_t i = 0; i < count; i++)
      hash = (hash ^ byte[i]) * UINT64_C(1099511628211);
   return hash;
}
